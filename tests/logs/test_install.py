"""Our handlers stand beside the user's, whatever configures logging, and see each record once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.logs.programs import run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_program_that_configures_nothing_gets_both_ways(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install()
install()
logging.getLogger("program").warning("one of %s", "two")
logging.getLogger("program").info("below the root's level")
""",
    )
    assert found.bodies == ["one of [redacted]"]
    assert found.exported == [("program", "one of [redacted]")]
    assert not found.other


def test_handlers_of_the_users_stay(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
logging.basicConfig(format="theirs %(message)s", level="INFO")
install()
logging.info("one of %s", "two")
""",
    )
    assert found.other == "theirs one of two"
    assert found.bodies == ["one of [redacted]"]
    assert len(found.exported) == 1


@pytest.mark.parametrize(
    "configure",
    [
        'logging.basicConfig(format="theirs %(message)s", level="INFO")',
        'logging.basicConfig(format="theirs %(message)s", level="INFO", force=True)',
        """logging.config.dictConfig({
    "version": 1, "disable_existing_loggers": False,
    "formatters": {"f": {"format": "theirs %(message)s"}},
    "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
    "root": {"handlers": ["h"], "level": "INFO"},
})""",
        """open("f.ini", "w").write('''
[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=f
[logger_root]
level=INFO
handlers=h
[handler_h]
class=StreamHandler
formatter=f
args=()
[formatter_f]
format=theirs %(message)s
''')
logging.config.fileConfig("f.ini", disable_existing_loggers=False)""",
    ],
)
def test_what_configures_logging_later_works_and_leaves_ours(
    configure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(
        tmp_path,
        f"""
install(file="lines.log")
logging.getLogger("program").warning("before")
{configure}
logging.getLogger("program").info("after")
print(open("lines.log").read(), file=sys.stderr)
""",
    )
    assert found.other.split("\n")[0] == "theirs after"
    assert found.bodies == ["before", "after"]
    assert [body for _, body in found.exported] == ["before", "after"]


@pytest.mark.parametrize(
    "configure",
    [
        'logging.config.dictConfig({"version": 1})',
        """logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=
[formatters]
keys=
[logger_root]
handlers=
'''))""",
    ],
)
def test_our_warnings_and_opentelemetrys_are_heard_after_other_loggers_were_disabled(
    configure: str, tmp_path: Path
) -> None:
    found = run(
        tmp_path,
        f"""
import io
install()
sdk = logging.getLogger("opentelemetry.exporter.otlp")
quiet = logging.getLogger("opentelemetry.quiet")
quiet.disabled = True
theirs = logging.getLogger("program")
{configure}
from otelext.capture.failure import report
report("no telemetry arrives")
sdk.warning("no collector")
quiet.warning("silenced by the user before")
theirs.warning("disabled as the user asked")
""",
    )
    assert found.bodies == ["no telemetry arrives", "no collector"]


def test_basic_config_twice_adds_no_second_handler(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install()
logging.basicConfig(format="theirs %(message)s")
logging.basicConfig(format="twice %(message)s")
logging.warning("a line")
""",
    )
    assert found.other == "theirs a line"
    assert found.bodies == ["a line"]


def test_loggers_that_do_not_propagate_are_heard_once(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
logging.getLogger("early").propagate = False
logging.getLogger("early.child").propagate = False
install(level="info")
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "loggers": {"late": {"propagate": False}}})
from gunicorn.config import Config
from gunicorn.glogging import Logger
Logger(Config()).info("listening")
for name in ("early", "early.child", "early.child.leaf", "late.leaf", "uvicorn.error", "gunicorn.error", "gunicorn.access"):
    logging.getLogger(name).info("once")
for name in ("early", "late"):
    logging.getLogger(name).propagate = True
    logging.getLogger(name).info("propagates again")
""",
    )
    assert found.bodies == ["listening"] + ["once"] * 7 + ["propagates again"] * 2
    assert [body for _, body in found.exported] == found.bodies


def test_uvicorns_own_configuration_is_added_to(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install(level="info,uvicorn.access=warning")
import uvicorn
uvicorn.Config("program:app")
logging.getLogger("uvicorn.error").info("Started")
logging.getLogger("uvicorn.access").info("quiet")
logging.getLogger("uvicorn.access").warning("loud")
""",
    )
    assert found.bodies == ["Started", "loud"]
    assert [name for name, _ in found.exported] == ["uvicorn.error", "uvicorn.access"]
    assert "INFO:     Started" in found.other


def test_levels_that_nobody_asked_for_stay(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
logging.getLogger("chatty").setLevel("DEBUG")
install()
logging.getLogger("chatty").debug("debug")
logging.getLogger("other").info("info")
""",
    )
    assert found.bodies == ["debug"]


def test_levels_asked_for_hold_after_logging_was_configured(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install(level="INFO, chatty = error,loud=15,quiet=NOTSET")
logging.basicConfig(level="CRITICAL", handlers=[logging.NullHandler()])
logging.getLogger("any").info("info")
logging.getLogger("chatty").warning("warning")
logging.getLogger("loud").log(15, "fifteen")
""",
    )
    assert found.bodies == ["info", "fifteen"]
    assert "otelext: OTELEXT_LOG_LEVEL=" in found.other


@pytest.mark.parametrize(
    ("arguments", "word"),
    [('format="yaml"', "yaml"), ('level="loud"', "loud"), ('file="/proc/no/such.log"', "/proc/no/such.log")],
)
def test_a_bad_value_is_named_once_and_the_default_taken(arguments: str, word: str, tmp_path: Path) -> None:
    found = run(tmp_path, f'install({arguments})\nlogging.warning("still there")\n')
    assert len(found.other.splitlines()) == 1
    assert word in found.other
    assert found.bodies == ["still there"]


def test_a_missing_library_for_files_is_named_with_its_extra(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
sys.modules["concurrent_log_handler"] = None
install(file="lines.log")
logging.warning("still there")
""",
    )
    assert 'pip install "otelext[logs]"' in found.other
    assert found.bodies == ["still there"]


def test_people_get_lines_of_their_own(tmp_path: Path) -> None:
    found = run(tmp_path, 'install(format="console")\nlogging.getLogger("program").warning("one of %s", "two")\n')
    assert found.other.endswith("WARN  program: one of [redacted]")
    assert not found.lines


def test_without_lines_warnings_still_reach_standard_error(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install(format="none")
logging.getLogger("program").warning("a warning")
logging.getLogger("program").info("no warning")
logging.getLogger("gunicorn.error").propagate = False
logging.getLogger("gunicorn.error").warning("a relayed warning")
logging.basicConfig(format="theirs %(message)s")
logging.getLogger("program").warning("printed by theirs")
""",
    )
    assert found.other.splitlines() == ["a warning", "a relayed warning", "theirs printed by theirs"]
    assert len(found.exported) == 3


@pytest.mark.parametrize("first", ["install()", ""])
def test_the_instrumentations_handler_and_factory_are_replaced(first: str, tmp_path: Path) -> None:
    found = run(
        tmp_path,
        f"""
from opentelemetry.instrumentation.logging import LoggingInstrumentor
factory = logging.getLogRecordFactory()
{first}
LoggingInstrumentor().instrument()
install()
assert logging.getLogRecordFactory() is factory
logging.warning("one of %s", "two")
logging.basicConfig(format="theirs %(message)s")
logging.warning("again")
LoggingInstrumentor().uninstrument()
logging.warning("not exported")
""",
    )
    assert [body for _, body in found.exported] == ["one of [redacted]", "again"]
    assert found.bodies == ["one of [redacted]", "again", "not exported"]


def test_the_factory_stays_where_correlation_was_asked_for(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
from opentelemetry.instrumentation.logging import LoggingInstrumentor
factory = logging.getLogRecordFactory()
LoggingInstrumentor().instrument()
install()
assert logging.getLogRecordFactory() is not factory
""",
        OTEL_PYTHON_LOG_CORRELATION="true",
    )


def test_the_sdks_deprecated_handler_is_replaced(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
import warnings
warnings.simplefilter("ignore")
from opentelemetry.sdk._logs import LoggingHandler
logging.getLogger().addHandler(LoggingHandler(level=logging.ERROR))
install()
logging.warning("below the replaced one's level")
logging.error("one of %s", "two")
""",
    )
    assert [body for _, body in found.exported] == ["one of [redacted]"]
    assert len(found.lines) == 2


@pytest.mark.parametrize(
    ("env", "exported"),
    [
        ({"OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "false"}, []),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx, logging"}, []),
        ({"OTEL_PYTHON_LOG_HANDLER_LEVEL": "error"}, ["an error"]),
        ({"OTEL_PYTHON_LOG_HANDLER_LEVEL": "loud"}, ["a warning", "an error"]),
    ],
)
def test_the_instrumentations_variables_hold(env: dict[str, str], exported: list[str], tmp_path: Path) -> None:
    found = run(tmp_path, 'install()\nlogging.warning("a warning")\nlogging.error("an error")\n', **env)
    assert [body for _, body in found.exported] == exported
    assert found.bodies == ["a warning", "an error"]


def test_lines_alone_load_no_instrumentation(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install(otlp=False)
logging.warning("a line")
assert "opentelemetry.instrumentation.logging" not in sys.modules
""",
    )
    assert found.bodies == ["a line"]
    assert not found.exported


def test_code_attributes_come_by_the_instrumentations_variable(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
install()
logging.warning("a line")
(data,) = EXPORTER.get_finished_logs()
assert data.log_record.attributes["code.file.path"] == "program.py", data.log_record.attributes
""",
        OTEL_PYTHON_LOG_CODE_ATTRIBUTES="true",
    )


def test_code_attributes_are_in_the_lines_too(tmp_path: Path) -> None:
    program = """
install({0})
def reads():
    logging.warning("a line", extra={{"code.line.number": 4711}})
reads()
"""
    names = ("code.file.path", "code.function.name", "code.line.number")
    for arguments in ("", "otlp=False"):
        found = run(tmp_path, program.format(arguments), OTEL_PYTHON_LOG_CODE_ATTRIBUTES="true")
        (line,) = found.lines
        assert [line.get(name) for name in names[:2]] == ["program.py", "reads"]
        assert tmp_path.joinpath("program.py").read_text().splitlines()[line[names[2]] - 1].startswith("    logging")
    found = run(
        tmp_path,
        "install()\nexec(compile('def Kim(): logging.warning(\"a line\")\\nKim()', 'Kim.py', 'exec'))\n",
        OTEL_PYTHON_LOG_CODE_ATTRIBUTES="true",
    )
    assert "Kim" not in str(found.lines)
    (line,) = run(tmp_path, "install()\nlogging.warning('a line')\n").lines
    assert not set(names) & set(line)


def test_what_the_sdk_and_we_say_obeys_the_rules_too(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install()
import otelext
otelext.facts.accuracy("a secret")
logging.getLogger("opentelemetry.sdk.trace").warning("Setting attribute %s", "a secret")
""",
    )
    assert len(found.lines) == 2
    assert "secret" not in str(found.lines) + str(found.exported)
    assert found.lines[0]["logger"] == "otelext"
    assert found.lines[0]["body"].startswith("otelext: [redacted] is a number from 0 to 1")


def test_a_forked_child_logs_as_its_parent_does(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
install()
import threading, time
stop = threading.Event()
def busy():
    while not stop.is_set():
        logging.getLogger("busy").debug("nothing")
        logging.getLogger("busy").warning("busy")
thread = threading.Thread(target=busy)
thread.start()
for _ in range(10):
    if not (pid := os.fork()):
        logging.getLogger("child").warning("from a child")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
""",
    )
    assert found.bodies.count("from a child") == 10
    assert not found.other


def test_install_never_raises(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
import otelext.logs.install as room
room.add_relays = None
install()
logging.warning("a line")
""",
    )
    assert found.bodies[-1] == "a line"
