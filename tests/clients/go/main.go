// A stock client: one spoken turn through AssistantService.Converse, with nothing but stubs generated from protos/.
//
// tests/clients runs it against the platform to show that a client in another language needs no library of ours and
// no metadata that a plain gRPC client would not send. It speaks as a device does: audio in real time, then silence,
// until the answer is there. The turn is printed as one JSON object; the exit status says whether it was complete.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	arbitration "antiphonclient/contract/antiphon/arbitration/v1"
	types "antiphonclient/contract/antiphon/types/v1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	sampleRate = 16_000                 // Hz, 16 bit mono
	chunkTime  = 100 * time.Millisecond // a device's usual packet
	chunkBytes = sampleRate * 2 / int(time.Second/chunkTime)
)

// turn is what the server said of one turn.
type turn struct {
	Transcript string   `json:"transcript"`
	Outcome    string   `json:"outcome"`
	Candidates []string `json:"candidates"`
	Skill      string   `json:"skill"`
	Answer     string   `json:"answer"`
	Status     string   `json:"status"`
	AudioBytes int      `json:"audio_bytes"`
	Partials   int      `json:"partials"`
	Ledger     int      `json:"ledger_entries"`
}

func main() {
	address := flag.String("address", "127.0.0.1:9000", "front door of the platform")
	locale := flag.String("locale", "en-US", "language of the user, a BCP-47 tag")
	audio := flag.String("audio", "", "file with the question: raw 16 bit little-endian PCM, mono, 16 kHz")
	timeout := flag.Duration("timeout", time.Minute, "longest wait for the whole turn")
	flag.Parse()

	result, err := converse(*address, *locale, *audio, *timeout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func converse(address, locale, audio string, timeout time.Duration) (*turn, error) {
	question, err := os.ReadFile(audio)
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	stream, err := arbitration.NewAssistantServiceClient(connection).Converse(ctx)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	sent := make(chan error, 1)
	go func() { sent <- speak(stream, locale, question, done) }()
	result, err := listen(stream, done)
	if err != nil {
		return nil, err
	}
	return result, <-sent
}

// speak sends the config, the question in real time, then silence until the turn is done, then the end.
func speak(stream arbitration.AssistantService_ConverseClient, locale string, question []byte, done <-chan struct{}) error {
	format := &types.AudioFormat{
		Encoding: types.AudioEncoding_AUDIO_ENCODING_LINEAR16, SampleRateHertz: sampleRate, ChannelCount: 1,
	}
	config := &arbitration.ConverseConfig{InputFormat: format, OutputFormat: format, LanguageCodes: []string{locale}}
	request := &arbitration.ConverseRequest{Request: &arbitration.ConverseRequest_Config{Config: config}}
	if err := stream.Send(request); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	packets := time.NewTicker(chunkTime)
	defer packets.Stop()
	silence := make([]byte, chunkBytes)
	for {
		select {
		case <-done:
			end := &arbitration.ConverseRequest_End{End: &arbitration.EndOfConversation{}}
			if err := stream.Send(&arbitration.ConverseRequest{Request: end}); err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("end: %w", err)
			}
			return stream.CloseSend()
		case <-packets.C:
			chunk := silence
			if len(question) > 0 {
				chunk = question[:min(chunkBytes, len(question))]
				question = question[len(chunk):]
			}
			packet := &arbitration.ConverseRequest_Audio{Audio: chunk}
			err := stream.Send(&arbitration.ConverseRequest{Request: packet})
			if errors.Is(err, io.EOF) {
				return nil // the server has ended the stream; listen says why
			}
			if err != nil {
				return fmt.Errorf("audio: %w", err)
			}
		}
	}
}

// listen gathers the events until the server closes the stream; it closes done when the turn is over.
func listen(stream arbitration.AssistantService_ConverseClient, done chan<- struct{}) (*turn, error) {
	result := &turn{}
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if result.Status == "" {
				return nil, errors.New("the stream ended before the turn was completed")
			}
			return result, nil
		}
		if err != nil {
			return nil, err
		}
		if result.note(response) {
			close(done)
		}
	}
}

// note takes over what an event says, and tells whether it is the end of the turn.
func (t *turn) note(response *arbitration.ConverseResponse) bool {
	switch event := response.Event.(type) {
	case *arbitration.ConverseResponse_Transcript:
		if !event.Transcript.IsFinal {
			t.Partials++
		} else if alternatives := event.Transcript.Alternatives; len(alternatives) > 0 {
			t.Transcript = alternatives[0].SpokenText
		}
	case *arbitration.ConverseResponse_Decision:
		t.Outcome = event.Decision.Outcome.String()
		for _, candidate := range event.Decision.Candidates {
			t.Candidates = append(t.Candidates, candidate.SkillId)
		}
	case *arbitration.ConverseResponse_AnswerAudio:
		t.AudioBytes += len(event.AnswerAudio.Content)
	case *arbitration.ConverseResponse_Latency:
		t.Ledger = len(event.Latency.Entries)
	case *arbitration.ConverseResponse_TurnCompleted:
		first := t.Status == ""
		t.Status = event.TurnCompleted.Status.String()
		t.Answer = event.TurnCompleted.Answer
		t.Skill = event.TurnCompleted.SkillId
		return first
	}
	return false
}
