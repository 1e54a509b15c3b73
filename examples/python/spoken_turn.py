"""Asks with a recording at the pace of speech, and writes the spoken answer.

python spoken_turn.py question.wav reply.wav [HOST:PORT]
"""

import asyncio
import sys

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import Assistant
from antiphon.recordings import Recording, linear16, paced, read_wav, write_wav

ANSWER_RATE_HZ = 22050


async def main(question: str, reply: str, target: str = "127.0.0.1:9000") -> None:
    # Silence after the words, so that the end of speech can be heard. A microphone simply goes on.
    recording = read_wav(question).with_silence(1.5)
    config = assistant_pb2.ConverseConfig(
        input_format=recording.format, output_format=linear16(ANSWER_RATE_HZ), language_codes=["en"]
    )
    config.recognition.interim_results = True
    audio = bytearray()
    async with Assistant(target) as assistant:
        async for event in assistant.converse(paced(recording), config=config):
            if event.HasField("transcript"):
                said = event.transcript.alternatives[0].spoken_text
                print("heard:" if event.transcript.is_final else "hearing:", said)
            elif event.HasField("answer_text"):
                print("answer:", event.answer_text.text)
            elif event.HasField("answer_audio"):
                audio += event.answer_audio.content  # a device plays it at once
    write_wav(reply, Recording(bytes(audio), ANSWER_RATE_HZ))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
