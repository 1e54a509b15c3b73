"""`AssistantService.Converse`: a client's messages to inputs, a conversation's events to messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.asr.v1 import recognition_pb2
from antiphon.types.v1 import audio_pb2, context_pb2, playback_pb2
from services.arbitration.adapters.messages import Messages
from services.arbitration.adapters.recognition import GrpcRecogniser
from services.arbitration.adapters.session import SessionPorts
from services.arbitration.adapters.values import seconds, set_seconds
from services.arbitration.contexts import Profile, TurnType
from services.arbitration.conversation import Conversation
from services.arbitration.devices.claims import Account
from services.arbitration.inputs import (
    Audio,
    BargedIn,
    CancelTurn,
    End,
    Finalize,
    Input,
    NewProfile,
    Played,
    StartTurn,
    Typed,
)
from services.arbitration.opening import Opening, no_sound
from services.arbitration.replica import FrontDoor
from services.arbitration.servicers.streaming import Stream, Watch
from services.runtime.audio import AudioFormat, Encoding
from services.runtime.calls import Call
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.language import best_supported, canonical

MAX_CHUNK = 15 * 1024
MAX_TEXT = 4000
MAX_KEY = 128
MAX_LANGUAGES = 10

_TURN_TYPES = {
    context_pb2.TURN_TYPE_FOLLOWUP: TurnType.FOLLOWUP,
    context_pb2.TURN_TYPE_BARGE_IN: TurnType.BARGE_IN,
}


_PLAYED = (playback_pb2.PLAYBACK_STATE_COMPLETED, playback_pb2.PLAYBACK_STATE_INTERRUPTED)


class AssistantServicer:
    """One per replica."""

    def __init__(self, front_door: FrontDoor) -> None:
        self._door = front_door

    async def Converse(  # noqa: N802 - named by the contract
        self, requests: AsyncIterator[assistant_pb2.ConverseRequest], call: Call
    ) -> AsyncGenerator[assistant_pb2.ConverseResponse, None]:
        """A conversation, from its config to its end."""
        config = await _config(requests)
        format_ = _input_format(config)
        output = _format(config.output_format, "config.output_format") if config.HasField("output_format") else None
        opening = _opening(config, self._locale(config, call), call, output)
        end_silence = _end_silence(config)
        if end_silence is None:
            set_seconds(config.recognition.endpointing.end_silence, self._door.settings.usual_silence)
        ports = SessionPorts.of(self._door.channels, config, self._door.grammars, self._door.judge.shedding)
        conversation = Conversation(self._door.premises(ports, end_silence), opening)
        await self._door.until_taught()
        account = Account(call.principal.tenant, call.principal.user, config.context.home)
        watch = Watch(self._door.claims, account, config.context.device.device_id)
        watch.over(config.wake)
        inbox = _Inbox(requests, format_, ports.recogniser, opening.profile, watch)
        stream = Stream(conversation, self._messages(config, opening), call, watch)
        async for message in stream.run(inbox.inputs()):
            yield message

    def _locale(self, config: assistant_pb2.ConverseConfig, call: Call) -> str:
        """The first of the client's languages that is served and that some skill answers in, else the first served:
        in that one it is said which languages are spoken."""
        if not 1 <= len(config.language_codes) <= MAX_LANGUAGES:
            raise InvalidInput(f"1 to {MAX_LANGUAGES} language codes", field="config.language_codes")
        wanted = [canonical(code, field="config.language_codes") for code in config.language_codes]
        needed = ["nlu"]
        needed += ["asr"] if config.HasField("input_format") else []
        needed += ["tts"] if config.HasField("output_format") else []
        refused: FailedPrecondition | None = None
        served: list[str] = []
        for locale in wanted:
            try:
                for capability in needed:
                    self._door.channels.directory.resolve(capability, locale, call.principal.tenant)
            except FailedPrecondition as error:
                refused = refused or error
            else:
                served.append(locale)
        if not served:
            assert refused is not None
            refused.field = "config.language_codes"
            raise refused
        skills = self._door.registry.enabled(call.principal.tenant, config.context.user_id)
        spoken = {tag for skill in skills for tag in skill.manifest.locales}
        return next((one for one in served if best_supported((one,), spoken)), served[0])

    def _messages(self, config: assistant_pb2.ConverseConfig, opening: Opening) -> Messages:
        limits = self._door.limits
        return Messages(
            config.decision_detail,
            opening.profile.locale,
            interim=True,
            max_session_s=limits.session_s,
            idle_s=limits.idle_s,
        )


class _Inbox:
    """Checks a client's messages and makes inputs of them."""

    def __init__(
        self,
        requests: AsyncIterator[assistant_pb2.ConverseRequest],
        format_: AudioFormat | None,
        recogniser: GrpcRecogniser,
        profile: Profile,
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._requests = requests
        self._format = format_
        self._recogniser = recogniser
        self._profile = profile

    async def inputs(self) -> AsyncGenerator[Input, None]:
        """Inputs in order. Raises InvalidInput for what the contract does not allow."""
        async for request in self._requests:
            item = await self._input(request)
            if item is not None:
                yield item

    async def _input(self, request: assistant_pb2.ConverseRequest) -> Input | None:
        match request.WhichOneof("request"):
            case "audio":
                return self._audio(request.audio)
            case "text":
                return _typed(request.text)
            case "control":
                return await self._control(request.control)
            case "barge_in":
                return BargedIn(request.barge_in.turn_id)
            case "playback":
                over = request.playback.state in _PLAYED
                return Played(request.playback.turn_id) if over else None
            case "directive_report":
                return None  # kept for the skills that will want them; nothing here depends on them yet
            case "end":
                return End()
            case "config":
                raise InvalidInput("config comes once, as the first message", reason="CONFIG_TWICE", field="config")
        raise InvalidInput("the message is empty", reason="MESSAGE_EMPTY", field="request")

    def _audio(self, data: bytes) -> Audio:
        if self._format is None:
            raise InvalidInput(
                "audio needs config.input_format", reason="INPUT_FORMAT_MISSING", field="config.input_format"
            )
        if len(data) > MAX_CHUNK:
            raise InvalidInput(
                f"an audio message holds at most {MAX_CHUNK} bytes, not {len(data)}",
                reason="AUDIO_CHUNK_TOO_LARGE",
                field="audio",
            )
        if len(data) % self._format.sample_bytes:
            raise InvalidInput(
                f"{len(data)} bytes are no whole number of 16-bit samples", reason="AUDIO_ODD_BYTES", field="audio"
            )
        return Audio(data, self._format.seconds(len(data)))

    async def _control(self, control: assistant_pb2.ConverseControl) -> Input | None:
        match control.WhichOneof("control"):
            case "finalize":
                return Finalize()
            case "start_turn":
                start = control.start_turn
                turn_type = _TURN_TYPES.get(start.turn_type, TurnType.INITIAL)
                key = _key(start.idempotency_key, "control.start_turn.idempotency_key")
                self._watch.over(start.wake)
                return StartTurn(turn_type, key)
            case "cancel_turn":
                return CancelTurn(control.cancel_turn.turn_id)
            case "update_context":
                return NewProfile(_profile(control.update_context, self._profile))
            case "update_biasing":
                await self._recogniser.update(recognition_pb2.RecognitionControl(update_biasing=control.update_biasing))
                return None
            case "update_endpointing":
                update = recognition_pb2.RecognitionControl(update_endpointing=control.update_endpointing)
                await self._recogniser.update(update)
                return None
        raise InvalidInput("the control is empty", reason="MESSAGE_EMPTY", field="control")


async def _config(requests: AsyncIterator[assistant_pb2.ConverseRequest]) -> assistant_pb2.ConverseConfig:
    try:
        first = await anext(requests)
    except StopAsyncIteration:
        raise InvalidInput("the stream ended before its config", reason="CONFIG_MISSING", field="config") from None
    kind = first.WhichOneof("request")
    if kind != "config":
        raise InvalidInput(
            f"the first message must be config, not {kind or 'empty'}", reason="CONFIG_MISSING", field="config"
        )
    return first.config


def _input_format(config: assistant_pb2.ConverseConfig) -> AudioFormat | None:
    """The microphone's format, checked."""
    if not config.HasField("input_format"):
        return None
    return _format(config.input_format, "config.input_format")


def _format(message: audio_pb2.AudioFormat, field: str) -> AudioFormat:
    try:
        name = audio_pb2.AudioEncoding.Name(message.encoding).removeprefix("AUDIO_ENCODING_")
    except ValueError:
        name = str(message.encoding)
    if name == "UNSPECIFIED":
        name = Encoding.LINEAR16.value
    return AudioFormat.parse(name, message.sample_rate_hertz, message.channel_count, field=field)


def _opening(config: assistant_pb2.ConverseConfig, locale: str, call: Call, output: AudioFormat | None) -> Opening:
    if config.wake.verify:
        raise FailedPrecondition(
            "no wake word model is installed to verify with; send wake without verify",
            reason="NO_WAKE_MODEL",
            field="config.wake.verify",
        )
    client = config.context.client
    profile = Profile(
        tenant=call.principal.tenant,
        locale=locale,
        user_id=config.context.user_id,
        device_id=config.context.device.device_id,
        has_screen=bool(client.display_mime_types),
        speaks=config.HasField("output_format"),
        third_party_skills=config.context.consent.third_party_skills,
        only_skills=frozenset(config.skill_ids),
        dry_run=config.dry_run,
        wire=config.context.SerializeToString(),
    )
    return Opening(
        profile=profile,
        key=_key(config.idempotency_key, "config.idempotency_key"),
        resume_token=config.resume_token,
        last_sequence=config.last_sequence_number,
        continuous=config.continuous,
        retain_text=config.context.consent.retain_text,
        barge_in=client.barge_in and client.echo_cancelled,
        seconds_of=output.seconds if output is not None else no_sound,
    )


def _profile(context: context_pb2.SessionContext, profile: Profile) -> Profile:
    return Profile(
        tenant=profile.tenant,
        locale=profile.locale,
        user_id=context.user_id,
        device_id=context.device.device_id,
        has_screen=bool(context.client.display_mime_types),
        speaks=profile.speaks,
        third_party_skills=context.consent.third_party_skills,
        only_skills=profile.only_skills,
        dry_run=profile.dry_run,
        wire=context.SerializeToString(),
    )


def _typed(text: assistant_pb2.TextInput) -> Typed:
    if not 1 <= len(text.text.strip()) <= len(text.text) <= MAX_TEXT:
        raise InvalidInput(f"a text has 1 to {MAX_TEXT} code points", field="text.text")
    return Typed(text.text, _key(text.idempotency_key, "text.idempotency_key"), text.prompt_id, text.choice_id)


def _end_silence(config: assistant_pb2.ConverseConfig) -> float | None:
    endpointing = config.recognition.endpointing
    return seconds(endpointing.end_silence) if endpointing.HasField("end_silence") else None


def _key(value: str, field: str) -> str:
    if len(value) > MAX_KEY:
        raise InvalidInput(f"an idempotency key has at most {MAX_KEY} characters", field=field)
    return value
