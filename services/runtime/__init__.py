"""The only code that the capabilities share; it knows none of them."""

import os

# From 1.29 on onnxruntime's wheels for Linux report models, machine and durations to their maker, beginning with the
# import, unless this is set before (https://github.com/microsoft/onnxruntime/pull/27379). Here, as every process of
# ours comes by here first, and those it starts inherit it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
