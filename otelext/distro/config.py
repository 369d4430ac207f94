"""otelext's own settings: one frozen dataclass, read once from `OTELEXT_*` and from `configure()`'s overrides."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext import semconv
from otelext.capture.failure import report_setup
from otelext.emit.worker import CAPACITY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from dataclasses import Field

PREFIX: Final = "OTELEXT_"
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_IN_KUBERNETES: Final = "KUBERNETES_SERVICE_HOST"
_GRACE_PERIOD_IN_KUBERNETES_S: Final = 30.0


def _setting(
    meaning: str,
    *,
    default: str = "",
    share: bool = False,
    among: tuple[str, ...] = (),
    secret: bool = False,
    names: bool = False,
) -> dict[str, Any]:
    return {"meaning": meaning, "default": default, "share": share, "among": among, "secret": secret, "names": names}


@dataclass(frozen=True)
class Config:
    """What is set by `OTELEXT_` and the field's name in capitals; `OTEL_*` variables come first for all else.

    Attributes:
        models: Models that always keep their name on metrics, however many others come with requests.
        queue_size: Finished inferences that may wait for the worker; more are dropped and counted.
        shutdown_timeout: Seconds that the last flush may take, at exit and at SIGTERM.
        sigterm: Whether SIGTERM begins the end of the telemetry; the process dies of it as before where nothing
            else handles the signal.
        grace_period: Seconds from SIGTERM to SIGKILL. What is still open `shutdown_timeout` before its end ends then.
            The default is that of containers, and in a pod of Kubernetes 30, its own.
        exemplar_ratio: Share of traces, 0 to 1, that may give exemplars, and whose spans say so. None: all may, as the
            SDK has it, and no span says so.
        gpu: Whether GPUs are read, where NVIDIA's library is installed.
        gpu_interval: Seconds between two readings.
        gpu_metrics: The only metrics that are made of them, by name in the catalogue; empty for all.
        gpu_folder: Folder that the processes of a host share, to read its GPUs once and to share out their energy;
            empty for one in the system's folder of temporary files.
        instrument: Whether `configure()` loads the installed instrumentations, as `opentelemetry-instrument` does.
        capture: What leaves besides the allow-list, out of `semconv.CAPTURES`.
        allow_attributes: Names of attributes that leave besides those of the list.
        tenants: Values of `tenant.id` that leave as they are, and keep their name on metrics; others leave as `other`.
        hash_key: Key of the HMAC-SHA-256 by which `user.id` leaves; without one it does not leave.
        baggage_keys: Entries of baggage that become attributes of spans and log records.
        baggage_trust: Whether baggage that comes with a request is taken.
        metric_attributes: Attributes that inference metrics carry only when asked for.
        log_format: How log records are written to standard error or the file besides being exported.
        log_level: Level of the root logger, and of others as `name=level`; empty to leave all levels as they are.
        log_file: File that log lines go to in place of standard error; it rotates.
        log_file_size: Bytes at which it rotates.
        log_file_count: Files that are kept besides the one that is written.
        log_inferences: Canonical lines a second that are written, errors not counted; more are counted and left out.
        privacy_samples: File to which this process writes a sample of each thing that leaves, for `otelext privacy`.
    """

    models: tuple[str, ...] = field(
        default=(), metadata=_setting("models that always keep their name on metrics, separated by commas")
    )
    queue_size: int = field(
        default=CAPACITY, metadata=_setting("finished inferences that may wait; more are dropped and counted")
    )
    shutdown_timeout: float = field(
        default=5.0, metadata=_setting("seconds that the last flush may take, at exit and at SIGTERM")
    )
    sigterm: bool = field(
        default=True, metadata=_setting("whether SIGTERM flushes; its other handlers and the exit status stay")
    )
    grace_period: float = field(
        default=10.0, metadata=_setting("seconds from SIGTERM to SIGKILL; 30 in Kubernetes unless set")
    )
    exemplar_ratio: float | None = field(
        default=None,
        metadata=_setting(
            "share of traces, 0 to 1, that may give exemplars; once set, their spans say so", default="1", share=True
        ),
    )
    gpu: bool = field(default=True, metadata=_setting("whether GPUs are read, where NVIDIA's library is installed"))
    gpu_interval: float = field(default=5.0, metadata=_setting("seconds between two readings of the GPUs"))
    gpu_metrics: tuple[str, ...] = field(
        default=(),
        metadata=_setting(
            "metrics that are made of them, separated by commas, beside another exporter of GPUs",
            default="all",
            among=tuple(metric.name for metric in semconv.GPU_METRICS),
        ),
    )
    gpu_folder: str = field(
        default="",
        metadata=_setting(
            "folder that the processes of a host share, to read its GPUs once",
            default="otelext-gpu in the temporary one",
        ),
    )
    instrument: bool = field(
        default=True, metadata=_setting("whether otelext.configure() loads the installed instrumentations")
    )
    capture: tuple[str, ...] = field(
        default=(),
        metadata=_setting(
            "what leaves besides the allow-list, separated by commas", default="none", among=tuple(semconv.CAPTURES)
        ),
    )
    allow_attributes: tuple[str, ...] = field(
        default=(),
        metadata=_setting("attributes that leave besides those of the list, separated by commas", names=True),
    )
    tenants: tuple[str, ...] = field(
        default=(), metadata=_setting("values of tenant.id that leave, separated by commas; others leave as other")
    )
    hash_key: str = field(
        default="",
        repr=False,
        metadata=_setting("key of the hash by which user.id leaves; without one it does not", secret=True),
    )
    baggage_keys: tuple[str, ...] = field(
        default=(semconv.TENANT_ID, semconv.USER_ID, semconv.REQUEST_ID),
        metadata=_setting("entries of baggage that become attributes of spans and log records", names=True),
    )
    baggage_trust: bool = field(
        default=False, metadata=_setting("whether baggage that comes with a request is taken too")
    )
    metric_attributes: tuple[str, ...] = field(
        default=(),
        metadata=_setting(
            "attributes that inference metrics carry only when asked for", default="none", among=(semconv.TENANT_ID,)
        ),
    )
    log_format: str = field(
        default="json",
        metadata=_setting("how log records are written besides being exported", among=("json", "console", "none")),
    )
    log_level: str = field(
        default="", metadata=_setting("level of the root logger and of others, as info,uvicorn.access=warning")
    )
    log_file: str = field(default="", metadata=_setting("file that log lines go to", default="standard error"))
    log_file_size: int = field(default=64 * 1024 * 1024, metadata=_setting("bytes at which that file rotates"))
    log_file_count: int = field(default=5, metadata=_setting("rotated files that are kept"))
    log_inferences: float = field(
        default=100.0, metadata=_setting("lines a second that say of an inference how it ended; errors are not counted")
    )
    privacy_samples: str = field(
        default="", metadata=_setting("file to which samples of what leaves are written, for otelext privacy")
    )


class Fault(NamedTuple):
    """A variable whose value can't be taken.

    Attributes:
        variable: Its name.
        text: What it is set to.
        reason: What would be right.
        taken: What holds instead, as it is written in a variable.
    """

    variable: str
    text: str
    reason: str
    taken: str


def variable(name: str) -> str:
    """The environment variable of a field of `Config`."""
    return PREFIX + name.upper()


def read(environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """The settings: overrides first, then the environment, then the defaults.

    Args:
        environ: The environment; `os.environ` if None.
        overrides: Fields of `Config`.

    Raises:
        TypeError: An override is no field of `Config`, or has the wrong type.
        ValueError: An override is out of range. A bad variable never raises: it is logged and the default taken.
    """
    return _read(os.environ if environ is None else environ, overrides, _report)


def faults(environ: Mapping[str, str]) -> list[Fault]:
    """What `read` would log of an environment."""
    found: list[Fault] = []
    _read(environ, {}, found.append)
    return found


def _report(fault: Fault) -> None:
    # The limit is by message, hence one for each variable.
    report_setup(f"otelext: {fault.variable}=%r is not valid: %s; %s is taken", fault.text, fault.reason, fault.taken)


def _read(environ: Mapping[str, str], overrides: Mapping[str, Any], say: Callable[[Fault], None]) -> Config:
    known = {setting.name: setting for setting in fields(Config)}
    for name in overrides:
        if name not in known:
            raise TypeError(f"configure() has no argument {name!r}; it takes {', '.join(known)}")
    values: dict[str, Any] = {}
    if environ.get(_IN_KUBERNETES):
        values["grace_period"] = _GRACE_PERIOD_IN_KUBERNETES_S
    for name, setting in known.items():
        if name in overrides:
            values[name] = _checked(name, overrides[name], setting)
            continue
        text = environ.get(variable(name), "").strip()
        if not text:
            continue
        try:
            values[name] = _checked(name, _parsed(text, setting), setting)
        except ValueError as error:
            taken = shown(values[name]) if name in values else default_of(setting)
            say(Fault(variable(name), text, str(error), taken))
    return Config(**values)


def shown(value: object) -> str:
    """A setting's value as it is written in a variable, empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else str(value)


def default_of(setting: Field[Any]) -> str:
    """What holds where a field of `Config` is not set, as it is written in a variable."""
    return setting.metadata["default"] or shown(setting.default)


def names(listed: str) -> tuple[str, ...]:
    """The names in a list separated by commas."""
    return tuple(name for name in (part.strip() for part in listed.split(",")) if name)


def _parsed(text: str, setting: Field[Any]) -> object:
    default = setting.default
    if isinstance(default, str):
        return text
    if isinstance(default, tuple):
        return () if setting.metadata["among"] and text.lower() == default_of(setting) else names(text)
    if isinstance(default, bool):
        lowered = text.lower()
        if lowered in _TRUE | _FALSE:
            return lowered in _TRUE
        raise ValueError("it is true or false")
    kind = int if isinstance(default, int) else float
    try:
        return kind(text)
    except ValueError:
        raise ValueError("it is a whole number" if kind is int else "it is a number") from None


def _checked(name: str, value: Any, setting: Field[Any]) -> Any:
    default = setting.default
    if isinstance(default, tuple):
        if isinstance(value, str) or not all(isinstance(item, str) and item for item in value):
            raise TypeError(f"{name} is a sequence of non-empty str, not {value!r}")
        pattern = next((item for item in value if setting.metadata["names"] and set(item) & set("*?[] ")), None)
        if pattern is not None:
            raise ValueError(f"{pattern!r} is no name of an attribute: each is written out, there are no patterns")
        unknown = [item for item in value if setting.metadata["among"] and item not in setting.metadata["among"]]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(setting.metadata['among'])}")
        return tuple(value)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise TypeError(f"{name} is a str, not {value!r}")
        if setting.metadata["among"] and value not in setting.metadata["among"]:
            raise ValueError(f"{value!r} is none of {', '.join(setting.metadata['among'])}")
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"{name} is a bool, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else (int, float)):
        raise TypeError(f"{name} is a {'whole ' if isinstance(default, int) else ''}number, not {value!r}")
    if setting.metadata["share"]:
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is from 0 to 1, not {value!r}")
    elif not (0 < value < math.inf):
        raise ValueError(f"{name} is more than 0 and finite, not {value!r}")
    return int(value) if isinstance(default, int) else float(value)
