"""Recognizes a recording while it is "spoken": partial results, endpoints, final results.

python live_transcript.py speech.wav [HOST:PORT]
"""

import asyncio
import sys

from antiphon.asr.v1 import recognition_pb2
from antiphon.client import AsrClient
from antiphon.recordings import paced, read_wav


async def main(speech: str, target: str = "127.0.0.1:9000") -> None:
    recording = read_wav(speech).with_silence(1.0)
    options = recognition_pb2.RecognitionOptions(interim_results=True, words=True)
    options.endpointing.continuous = True
    config = recognition_pb2.RecognitionConfig(format=recording.format, language_codes=["en"], options=options)
    async with AsrClient(target) as asr:
        async for event in asr.streaming_recognize(paced(recording), config):
            if event.HasField("result") and event.result.alternatives:
                best = event.result.alternatives[0]
                print("final:" if event.result.is_final else "partial:", best.spoken_text)
                for word in best.words if event.result.is_final else ():
                    print(f"  {word.start_offset.ToMilliseconds():6d} ms  {word.text}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
