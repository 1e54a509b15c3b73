"""The clients: `Assistant` for whole conversations, and one thin client per capability.

    async with Assistant("127.0.0.1:9000") as assistant:
        async for event in assistant.converse("what time is it in Tokyo"):
            print(event)

All speak to the front door, which leads each call to the default pool of its capability; `pool=` names another one.
Calls that change nothing, or carry an idempotency key, are repeated by the rules of `retries.py`; a conversation is
resumed. Whatever fails for good raises `AntiphonApiError`.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any

from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from antiphon.activation.v1 import activation_pb2, activation_pb2_grpc
from antiphon.arbitration.v1 import (
    arbitration_pb2,
    arbitration_pb2_grpc,
    assistant_pb2,
    assistant_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.channels import Connection
from antiphon.conversation import Conversation, Item, Responses
from antiphon.dialogue.v1 import dialogue_pb2, dialogue_pb2_grpc
from antiphon.nlu.v1 import understanding_pb2, understanding_pb2_grpc
from antiphon.recordings import Recording, linear16
from antiphon.skill.v1 import skill_pb2, skill_pb2_grpc
from antiphon.speaker.v1 import speaker_pb2, speaker_pb2_grpc
from antiphon.tts.v1 import synthesis_pb2, synthesis_pb2_grpc
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, context_pb2, speech_pb2

UNARY_TIMEOUT_S = 30.0
DESCRIBE_TIMEOUT_S = 5.0
ANSWER_RATE_HZ = 22050
# grpc.health.v1.HealthCheckRequest and -Response have one field each, number 1, a string and an enum: on the wire they
# are these wrappers, which spares the client another dependency.
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_HEALTH_STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


class CapabilityClient(Connection):
    """What every client can ask of whatever pool it reaches."""

    async def describe(self, timeout: float = DESCRIBE_TIMEOUT_S) -> capability_pb2.DescribeResponse:
        """What the pool is, serves and bears. Raises AntiphonApiError."""
        stub = capability_pb2_grpc.CapabilityServiceStub(self.channel)
        answer: capability_pb2.DescribeResponse = await self.call(
            stub.Describe, capability_pb2.DescribeRequest(), timeout
        )
        return answer

    async def health(self, service: str = "", timeout: float = DESCRIBE_TIMEOUT_S) -> str:
        """State of a gRPC service by its full name, or of the whole: SERVING, NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN.

        Raises:
            AntiphonApiError: nobody answers, or (NOT_FOUND) there is no such service.
        """
        check = self.channel.unary_unary(
            _HEALTH_CHECK, request_serializer=StringValue.SerializeToString, response_deserializer=Int32Value.FromString
        )
        answer: Int32Value = await self.call(check, StringValue(value=service), timeout)
        return _HEALTH_STATES.get(answer.value, "UNKNOWN")


class Assistant(CapabilityClient):
    """Whole conversations, and why they went as they did."""

    def converse(
        self,
        source: AsyncIterable[Item] | str,
        *,
        language_codes: Sequence[str] = ("en",),
        config: assistant_pb2.ConverseConfig | None = None,
    ) -> Responses:
        """One conversation.

        Args:
            source: a typed turn, or an async iterable of audio (`bytes` in the form of `config.input_format`, at most
                15 KB each), typed turns (`str`) and other messages of the contract. Its end ends the conversation.
            language_codes: the user's, as BCP-47 tags, best first; `config.language_codes` goes before them.
            config: the rest; without an input format 16 kHz PCM is sent, without an output format 22.05 kHz PCM asked;
                an empty format means no audio at all.

        Returns:
            The events, an async generator; close it to cancel the turn.

        Raises:
            AntiphonApiError: the conversation failed and could not be resumed.
        """
        typed = isinstance(source, str)
        complete = assistant_pb2.ConverseConfig()
        if not typed:
            complete.input_format.CopyFrom(linear16(16000))
            complete.output_format.CopyFrom(linear16(ANSWER_RATE_HZ))
        if config is not None:
            for name in ("input_format", "output_format"):
                if config.HasField(name):
                    complete.ClearField(name)
            complete.MergeFrom(config)
        if not complete.input_format.ByteSize():
            complete.ClearField("input_format")
        if not complete.output_format.ByteSize():
            complete.ClearField("output_format")
        if not complete.language_codes:
            complete.language_codes.extend(language_codes)
        stub = assistant_pb2_grpc.AssistantServiceStub(self.channel)
        items = _once(source) if isinstance(source, str) else source
        return Conversation(
            lambda requests: self.exchange(stub.Converse, requests), complete, items, self.retry
        ).events()

    async def explain(self, turn_id: str) -> arbitration_pb2.ExplainResponse:
        """The decision of an earlier turn and its latency ledger. Raises AntiphonApiError (NOT_FOUND)."""
        stub = arbitration_pb2_grpc.ArbitrationServiceStub(self.channel)
        request = arbitration_pb2.ExplainRequest(turn_id=turn_id)
        answer: arbitration_pb2.ExplainResponse = await self.call(stub.Explain, request, UNARY_TIMEOUT_S)
        return answer

    async def feedback(
        self, turn_id: str, kind: arbitration_pb2.FeedbackKind.ValueType, **more: Any
    ) -> arbitration_pb2.FeedbackResponse:
        """Says how a turn went; `more` are further fields of FeedbackRequest. Raises AntiphonApiError."""
        request = arbitration_pb2.FeedbackRequest(turn_id=turn_id, kind=kind, **more)
        request.idempotency_key = request.idempotency_key or uuid.uuid4().hex
        stub = arbitration_pb2_grpc.ArbitrationServiceStub(self.channel)
        answer: arbitration_pb2.FeedbackResponse = await self.call(stub.Feedback, request, UNARY_TIMEOUT_S)
        return answer


class SkillsClient(CapabilityClient):
    """Which skills the platform has."""

    async def skills(self, language_code: str = "") -> list[registry_pb2.RegisteredSkill]:
        """All skills, or those that answer in a language. Raises AntiphonApiError."""
        stub = registry_pb2_grpc.SkillRegistryServiceStub(self.channel)
        found: list[registry_pb2.RegisteredSkill] = []
        request = registry_pb2.ListRequest(language_code=language_code)
        while True:
            page: registry_pb2.ListResponse = await self.call(stub.List, request, UNARY_TIMEOUT_S)
            found += page.skills
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def register(
        self, address: str, *, skill_id: str = "", enable: bool = True, validate_only: bool = False
    ) -> registry_pb2.RegisterResponse:
        """Adds the skills of the server at `host:port` (one of them, if named). Raises AntiphonApiError."""
        stub = registry_pb2_grpc.SkillRegistryServiceStub(self.channel)
        request = registry_pb2.RegisterRequest(
            address=address, skill_id=skill_id, enable=enable, validate_only=validate_only
        )
        answer: registry_pb2.RegisterResponse = await self.call(stub.Register, request, UNARY_TIMEOUT_S)
        return answer

    async def enable(
        self, skill_id: str, *, enabled: bool = True, user: str = "", version: str = ""
    ) -> registry_pb2.RegisteredSkill:
        """Lets a skill take part for the caller's account, or for one user of it, or no longer.

        Args:
            version: pins this one; empty lets go of what was pinned.

        Raises AntiphonApiError (NOT_FOUND).
        """
        stub = registry_pb2_grpc.SkillRegistryServiceStub(self.channel)
        request = registry_pb2.EnableRequest(skill_id=skill_id, enabled=enabled, user_id=user, version=version)
        answer: registry_pb2.EnableResponse = await self.call(stub.Enable, request, UNARY_TIMEOUT_S)
        return answer.skill

    async def remove(self, skill_id: str, version: str = "") -> bool:
        """Forgets a skill, or one version of it; False if there was none. Raises AntiphonApiError."""
        stub = registry_pb2_grpc.SkillRegistryServiceStub(self.channel)
        request = registry_pb2.RemoveRequest(skill_id=skill_id, version=version)
        answer: registry_pb2.RemoveResponse = await self.call(stub.Remove, request, UNARY_TIMEOUT_S)
        return answer.removed


class AsrClient(CapabilityClient):
    """Speech to text."""

    async def recognize_file(
        self,
        content: bytes,
        encoding: audio_pb2.AudioEncoding.ValueType,
        *,
        language_codes: Sequence[str] = ("en",),
        options: recognition_pb2.RecognitionOptions | None = None,
    ) -> recognition_pb2.RecognizeResponse:
        """Recognizes a whole WAV or FLAC file of at most 60 s, as it is. Raises AntiphonApiError."""
        config = recognition_pb2.RecognitionConfig(
            format=audio_pb2.AudioFormat(encoding=encoding), language_codes=language_codes, options=options
        )
        request = recognition_pb2.RecognizeRequest(config=config, audio=content)
        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(self.channel)
        answer: recognition_pb2.RecognizeResponse = await self.call(stub.Recognize, request, 3 * UNARY_TIMEOUT_S)
        return answer

    async def recognize(
        self,
        recording: Recording,
        *,
        language_codes: Sequence[str] = ("en",),
        options: recognition_pb2.RecognitionOptions | None = None,
    ) -> recognition_pb2.RecognizeResponse:
        """Recognizes a recording of at most 60 s. Raises AntiphonApiError."""
        config = recognition_pb2.RecognitionConfig(
            format=recording.format, language_codes=language_codes, options=options
        )
        request = recognition_pb2.RecognizeRequest(config=config, audio=recording.pcm)
        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(self.channel)
        timeout = UNARY_TIMEOUT_S + recording.duration_s
        answer: recognition_pb2.RecognizeResponse = await self.call(stub.Recognize, request, timeout)
        return answer

    def streaming_recognize(
        self, audio: AsyncIterable[bytes], config: recognition_pb2.RecognitionConfig
    ) -> AsyncGenerator[recognition_pb2.StreamingRecognizeResponse, None]:
        """Recognizes audio while it comes, in pieces of at most 15 KB. Raises AntiphonApiError."""

        async def requests() -> AsyncGenerator[recognition_pb2.StreamingRecognizeRequest, None]:
            request = recognition_pb2.StreamingRecognizeRequest
            yield request(config=recognition_pb2.StreamingRecognitionConfig(config=config))
            async for chunk in audio:
                yield request(audio=chunk)
            yield request(end_of_audio=recognition_pb2.EndOfAudio())

        stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(self.channel)
        return self.exchange(stub.StreamingRecognize, requests())


class NluClient(CapabilityClient):
    """Text to intents and slots."""

    async def interpret(
        self,
        text: str,
        *,
        language_code: str = "en",
        context: context_pb2.TurnContext | None = None,
        options: understanding_pb2.UnderstandingOptions | None = None,
    ) -> understanding_pb2.InterpretResponse:
        """Reads one utterance. Raises AntiphonApiError."""
        request = understanding_pb2.InterpretRequest(
            alternatives=[speech_pb2.SpeechAlternative(spoken_text=text)],
            language_code=language_code,
            context=context,
            options=options,
        )
        stub = understanding_pb2_grpc.LanguageUnderstandingServiceStub(self.channel)
        answer: understanding_pb2.InterpretResponse = await self.call(stub.Interpret, request, UNARY_TIMEOUT_S)
        return answer

    async def update_skill(
        self, request: understanding_pb2.UpdateSkillRequest
    ) -> understanding_pb2.UpdateSkillResponse:
        """Adds or retrains one skill. Raises AntiphonApiError."""
        stub = understanding_pb2_grpc.LanguageUnderstandingServiceStub(self.channel)
        answer: understanding_pb2.UpdateSkillResponse = await self.call(
            stub.UpdateSkill, request, UNARY_TIMEOUT_S, repeatable=bool(request.idempotency_key)
        )
        return answer


class TtsClient(CapabilityClient):
    """Text to speech."""

    async def synthesize(
        self,
        text: str,
        *,
        language_code: str = "en",
        sample_rate_hertz: int = ANSWER_RATE_HZ,
        options: synthesis_pb2.SynthesisOptions | None = None,
    ) -> synthesis_pb2.SynthesizeResponse:
        """Says one text as mono 16 bit PCM. Raises AntiphonApiError."""
        request = synthesis_pb2.SynthesizeRequest(
            input=synthesis_pb2.SynthesisInput(text=text),
            language_code=language_code,
            format=linear16(sample_rate_hertz),
            options=options,
        )
        stub = synthesis_pb2_grpc.SpeechSynthesisServiceStub(self.channel)
        answer: synthesis_pb2.SynthesizeResponse = await self.call(stub.Synthesize, request, UNARY_TIMEOUT_S)
        return answer

    def streaming_synthesize(
        self, texts: AsyncIterable[str], config: synthesis_pb2.StreamingSynthesisConfig
    ) -> AsyncGenerator[synthesis_pb2.StreamingSynthesizeResponse, None]:
        """Says text while it is written. Raises AntiphonApiError."""

        async def requests() -> AsyncGenerator[synthesis_pb2.StreamingSynthesizeRequest, None]:
            request = synthesis_pb2.StreamingSynthesizeRequest
            yield request(config=config)
            async for text in texts:
                yield request(text=synthesis_pb2.SynthesisInput(text=text))
            yield request(end_of_text=synthesis_pb2.EndOfText())

        stub = synthesis_pb2_grpc.SpeechSynthesisServiceStub(self.channel)
        return self.exchange(stub.StreamingSynthesize, requests())

    async def phonemize(self, texts: Sequence[str], *, language_code: str = "en") -> synthesis_pb2.PhonemizeResponse:
        """Pronounces texts in IPA. Raises AntiphonApiError."""
        request = synthesis_pb2.PhonemizeRequest(language_code=language_code, texts=texts)
        stub = synthesis_pb2_grpc.SpeechSynthesisServiceStub(self.channel)
        answer: synthesis_pb2.PhonemizeResponse = await self.call(stub.Phonemize, request, UNARY_TIMEOUT_S)
        return answer

    async def voices(self, language_code: str = "") -> Sequence[synthesis_pb2.Voice]:
        """The voices for a language, or all. Raises AntiphonApiError."""
        stub = synthesis_pb2_grpc.SpeechSynthesisServiceStub(self.channel)
        request = synthesis_pb2.ListVoicesRequest(language_code=language_code)
        answer: synthesis_pb2.ListVoicesResponse = await self.call(stub.ListVoices, request, UNARY_TIMEOUT_S)
        return answer.voices


class DialogueClient(CapabilityClient):
    """State of conversations, and words where no skill has them."""

    def respond(self, request: dialogue_pb2.RespondRequest) -> AsyncGenerator[dialogue_pb2.RespondResponse, None]:
        """Takes one turn into the state and streams the assistant's part. Raises AntiphonApiError."""
        stub = dialogue_pb2_grpc.DialogueServiceStub(self.channel)
        return self.stream(stub.Respond, request, UNARY_TIMEOUT_S)

    async def state(self, session_id: str) -> dialogue_pb2.DialogueState:
        """The state of a conversation. Raises AntiphonApiError (NOT_FOUND)."""
        stub = dialogue_pb2_grpc.DialogueServiceStub(self.channel)
        request = dialogue_pb2.GetDialogueStateRequest(session_id=session_id)
        answer: dialogue_pb2.GetDialogueStateResponse = await self.call(stub.GetDialogueState, request, UNARY_TIMEOUT_S)
        return answer.state


class SpeakerClient(CapabilityClient):
    """Enrolled voices."""

    async def enroll(
        self, utterances: Sequence[Recording], config: speaker_pb2.EnrollConfig
    ) -> speaker_pb2.EnrollResponse:
        """Makes or extends a profile from utterances in the form of `config.format`. Raises AntiphonApiError."""

        async def requests() -> AsyncGenerator[speaker_pb2.EnrollRequest, None]:
            yield speaker_pb2.EnrollRequest(config=config)
            for number, utterance in enumerate(utterances):
                if number:
                    yield speaker_pb2.EnrollRequest(end_of_utterance=speaker_pb2.EndOfUtterance())
                for chunk in utterance.chunks():
                    yield speaker_pb2.EnrollRequest(audio=chunk)
            yield speaker_pb2.EnrollRequest(end_of_audio=speaker_pb2.EndOfAudio())

        stub = speaker_pb2_grpc.SpeakerServiceStub(self.channel)
        answer: speaker_pb2.EnrollResponse = await self.upload(stub.Enroll, requests(), UNARY_TIMEOUT_S)
        return answer

    async def verify(self, request: speaker_pb2.VerifyRequest) -> speaker_pb2.VerifyResponse:
        """Compares a recording with profiles. Raises AntiphonApiError."""
        stub = speaker_pb2_grpc.SpeakerServiceStub(self.channel)
        answer: speaker_pb2.VerifyResponse = await self.call(stub.Verify, request, UNARY_TIMEOUT_S)
        return answer

    async def delete_profile(self, profile_id: str) -> bool:
        """Deletes a profile and all that was made from it; False if there was none. Raises AntiphonApiError."""
        stub = speaker_pb2_grpc.SpeakerServiceStub(self.channel)
        request = speaker_pb2.DeleteProfileRequest(profile_id=profile_id)
        answer: speaker_pb2.DeleteProfileResponse = await self.call(stub.DeleteProfile, request, UNARY_TIMEOUT_S)
        return answer.deleted


class ActivationClient(CapabilityClient):
    """Wake words, sounds, and whether speech is meant for the device."""

    def detect(
        self, audio: AsyncIterable[bytes], config: activation_pb2.DetectionConfig
    ) -> AsyncGenerator[activation_pb2.StreamingDetectResponse, None]:
        """Listens to audio while it comes, in pieces of at most 15 KB. Raises AntiphonApiError."""

        async def requests() -> AsyncGenerator[activation_pb2.StreamingDetectRequest, None]:
            yield activation_pb2.StreamingDetectRequest(config=config)
            async for chunk in audio:
                yield activation_pb2.StreamingDetectRequest(audio=chunk)
            yield activation_pb2.StreamingDetectRequest(end_of_audio=activation_pb2.EndOfAudio())

        stub = activation_pb2_grpc.ActivationServiceStub(self.channel)
        return self.exchange(stub.StreamingDetect, requests())

    async def verify_wake_word(
        self, request: activation_pb2.VerifyWakeWordRequest
    ) -> activation_pb2.VerifyWakeWordResponse:
        """A second opinion on a wake word. Raises AntiphonApiError."""
        stub = activation_pb2_grpc.ActivationServiceStub(self.channel)
        answer: activation_pb2.VerifyWakeWordResponse = await self.call(stub.VerifyWakeWord, request, UNARY_TIMEOUT_S)
        return answer


class SkillClient(CapabilityClient):
    """A skill's own service, as the platform sees it: for those who write one."""

    async def manifest(self, request: skill_pb2.GetManifestRequest | None = None) -> skill_pb2.GetManifestResponse:
        """What the skill offers. Raises AntiphonApiError."""
        stub = skill_pb2_grpc.SkillServiceStub(self.channel)
        answer: skill_pb2.GetManifestResponse = await self.call(
            stub.GetManifest, request or skill_pb2.GetManifestRequest(), UNARY_TIMEOUT_S
        )
        return answer

    async def can_fulfill(self, request: skill_pb2.CanFulfillRequest) -> skill_pb2.CanFulfillResponse:
        """Whether the skill can serve a reading. Raises AntiphonApiError."""
        stub = skill_pb2_grpc.SkillServiceStub(self.channel)
        answer: skill_pb2.CanFulfillResponse = await self.call(stub.CanFulfill, request, UNARY_TIMEOUT_S)
        return answer

    def execute(self, request: skill_pb2.ExecuteRequest) -> AsyncGenerator[skill_pb2.ExecuteResponse, None]:
        """Executes a reading: progress, answer, receipt. Raises AntiphonApiError."""
        stub = skill_pb2_grpc.SkillServiceStub(self.channel)
        return self.stream(stub.Execute, request, UNARY_TIMEOUT_S)


async def _once(text: str) -> AsyncGenerator[Item, None]:
    yield text


__all__ = [
    "ActivationClient",
    "AsrClient",
    "Assistant",
    "CapabilityClient",
    "DialogueClient",
    "NluClient",
    "SkillClient",
    "SpeakerClient",
    "TtsClient",
]
