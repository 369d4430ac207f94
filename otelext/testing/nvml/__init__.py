"""A stand-in for NVIDIA's `libnvidia-ml.so.1`, for tests where no GPU is.

Comes in: a scenario, a text file that drives the library while it runs. Goes out: the answers of the real NVML's C
functions, in its struct layouts, to the real pynvml; no Python code is faked. May import: the standard library.
Needs Linux and a C compiler called `cc`; the C source lies beside this file.

```python
from otelext.testing import nvml

library = nvml.build(tmp_path / "nvml")
scenario = nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 70000 @10 400000")
subprocess.run(command, env={**os.environ, **nvml.environment(library, scenario)})
with nvml.loaded(library, scenario):  # or in this process
    pynvml.nvmlInit()
```

**The scenario.** Lines `key = value`; `#` begins a comment. A later line replaces an earlier one with the same key. A
line that is wrong is left out, and standard error says why. The file is read again when it has changed, at most every
10 ms. Numbers over time are `VALUE [@SECONDS VALUE]...`: each holds from its second on, the first from the beginning.
A VALUE is a number, `NA` for NVML_VALUE_NOT_AVAILABLE, or an error by its name without NVML_ERROR_, such as
`!NOT_SUPPORTED`. Counters that wrap or begin anew are written as such: `4294967000 @5 100`.

- `start`: what second 0 is, in ns of CLOCK_MONOTONIC (`time.perf_counter_ns`). Otherwise it is when the library was
  loaded, which differs from process to process.
- `gpus`: how many GPUs there are. Otherwise one more than the highest N below; at most 64. One that is gone is lost.
- `driver.version`: once the file names another than when the library was loaded, calls give LIB_RM_VERSION_MISMATCH
  until the library is loaded anew (`dlclose`, `dlopen`).
- `gpuN.uuid`, `.name`, `.serial`, `.pci_bus`: text, or an error. There are defaults; those of two GPUs differ.
- `gpuN.lost`: 1 has every call on the GPU give GPU_IS_LOST, asking for its handle included.
- `gpuN.mig`: whether MIG is on. Without it: on if there is a key of a MIG device, else not supported.
- `gpuN.migK.uuid`, `.name`: as of a GPU. K is 0 to 6, and may leave gaps.
- `gpuN.migK.gi`, `.ci`: the numbers of its GPU instance and compute instance; without them K + 1 and 0.
- `gpuN.READING`, `gpuN.migK.READING`: see below. What isn't named is NOT_SUPPORTED.
- `call.FUNCTION`: what becomes of every call of this NVML function, by its name in C, over time: `ok`; `!ERROR`; or
  `hang:SECONDS` or `slow:SECONDS`, which are one to the library: the call waits for so long, or until the scenario says
  otherwise, and then goes on. Calls of other threads go on meanwhile.

Readings: `utilization.gpu`, `utilization.memory` (%), `memory.total`, `memory.used` (bytes), `temperature.gpu`,
`temperature.memory` (°C), `power` (mW), `energy` (mJ), `clock.sm`, `clock.memory`, `clock.video` (MHz), `throttle`
(bits of nvmlClocksEventReason*), `fan` (%), `pstate` (0 to 15), `ecc.corrected`, `ecc.uncorrected` (volatile totals),
`pcie.rx`, `pcie.tx` (bytes), `nvlink.rx`, `nvlink.tx` (KiB, of all links), `gpm.graphics`, `gpm.sm`, `gpm.tensor` (%;
the mean of the time between two samples), and these:

- `energy = from_power` is the integral of `power` since second 0, on top of `energy.base` (mJ, may change over time).
- `process.PID` is the memory of a compute process in bytes, PID a number or `self`; while it is an error the process
  doesn't run. `process = !ERROR` is what asking for the processes gives. A GPU lists those of its MIG devices too.
- `xid`: each step is one event, but for 0. Sets tell of those that come after their registration, be it that the step's
  second comes or that the file is changed.
- `field.ID` is what nvmlDeviceGetFieldValues alone gives for that field. Otherwise fields 3, 4, 82, 83, 138, 139, 185,
  186, 197 and 198 are the readings above.

nvmlDeviceGetPcieThroughput and the aggregate ECC counters are never supported.
"""

from __future__ import annotations

from otelext.testing.nvml.library import build, environment, loaded, write_scenario

__all__ = ["build", "environment", "loaded", "write_scenario"]
