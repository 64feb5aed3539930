"""The style rules of this project as tests. Each message says what to do instead."""

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator

import pytest

from chassis.messaging.message import Event
from contracts.catalog import CATALOG
from journey.admin.registry import SERVICES
from tests.support.source_files import (
    PACKAGES,
    ROOT,
    SERVICE_PACKAGES,
    Source,
    complain,
    deciding,
    dotted,
    sources,
)

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 50

BANNED_IN_DECISIONS = {
    "datetime.now": "a time that the message carries",
    "datetime.utcnow": "a time that the message carries",
    "date.today": "a time that the message carries",
    "time.time": "a time that the message carries",
    "uuid4": "an id that the message carries, or chassis.messaging.identity.derived_id",
    "uuid.uuid4": "an id that the message carries, or chassis.messaging.identity.derived_id",
    "new_id": "an id that the message carries, or chassis.messaging.identity.derived_id",
    "identity.new_id": "an id that the message carries, or chassis.messaging.identity.derived_id",
    "random": "something that is the same when it is decided again",
    "secrets": "something that is the same when it is decided again",
    "os.environ": "a setting handed to the service's factory in service.py",
    "os.getenv": "a setting handed to the service's factory in service.py",
    "open": "a value that the message or the state carries",
    "print": "a message: what happened is said",
    "logging": "a message: what happened is said",
}
IMPORTS_FOR_DECISIONS = {
    "collections.abc",
    "dataclasses",
    "datetime",
    "enum",
    "hashlib",
    "re",
    "typing",
    "unicodedata",
    "uuid",
    "chassis.core.decision",
    "chassis.clock",
    "chassis.messaging.identity",
    "chassis.messaging.message",
}
VAGUE = {"util", "utils", "common", "helper", "helpers", "misc", "shared"}


def test_deciders_use_only_what_the_message_and_the_state_carry() -> None:
    complain(sentence for source in deciding() for sentence in _impure(source))


def _impure(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        location = f"{source.path}:{getattr(node, 'lineno', 1)}"
        if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
            yield f"{location}: a decider must not await; return a RunEffect and decide again with its result"
        name = dotted(node)
        if name in BANNED_IN_DECISIONS:
            yield f"{location}: {name} is banned here; use {BANNED_IN_DECISIONS[name]}"


def test_deciders_import_only_contracts_the_decision_and_plain_python() -> None:
    complain(
        f"{source.path}: imports {module}; a decider needs contracts, chassis.core.decision and values only"
        for source in deciding()
        for module, _ in source.imports()
        if module not in IMPORTS_FOR_DECISIONS
        and module.partition(".")[0] not in ("contracts", source.path.parts[0])
    )


def test_the_decider_of_every_aggregate_is_checked() -> None:
    """Otherwise the rules above would pass because they check nothing."""
    looked_at = {".".join(source.path.with_suffix("").parts) for source in deciding()}
    complain(
        f"{name}: the rules for deciders do not see the one of {aggregate.kind!r} in {module}; write it as a"
        " function of its module with the return type Decision[…]"
        for name, make in SERVICES.items()
        for aggregate in make().aggregates
        if (module := inspect.unwrap(aggregate.decide).__module__) not in looked_at
    )
    assert {"order_svc.decider", "order_svc.order", "order_svc.quote", "inventory_svc.stock"} <= looked_at


def test_services_qualify_messages_with_their_module() -> None:
    names = {contract.__name__ for contract in CATALOG.values()}
    complain(
        f"{source.path}: imports {name} from {module}; import the module and write "
        f"{module.split('.')[1]}.{name}"
        for source in sources(*SERVICE_PACKAGES)
        for module, name in source.imports()
        if module.startswith("contracts.") and name in names
    )


def test_files_are_short_or_give_the_reason() -> None:
    complain(
        f"{source.path}: {len(source.text.splitlines())} lines, {FILE_LINES_MAX} are allowed;"
        " split it by topic, or state the reason in its docstring ('Long because …')"
        for source in sources()
        if len(source.text.splitlines()) > FILE_LINES_MAX and "Long because" not in source.docstring
    )


def test_functions_are_short() -> None:
    """A decider's `decide` is the exception: its limit is that of its file."""
    deciders = {source.path for source in deciding()}
    complain(
        f"{source.path}:{function.lineno}: {function.name} has {length} lines of code, {FUNCTION_LINES_MAX} "
        "are allowed; give a part of it a name"
        for source in sources()
        for function, length in source.functions()
        if length >= FUNCTION_LINES_MAX and not (function.name == "decide" and source.path in deciders)
    )


RETIRED = tomllib.loads((ROOT / "tests" / "style" / "retired_names.toml").read_text())


def test_no_module_has_a_retired_name() -> None:
    complain(
        f"{path}: this name is retired; call it {new.replace('.', '/')}.py"
        for old, new in RETIRED["modules"].items()
        if (ROOT / (path := f"{old.replace('.', '/')}.py")).exists()
    )


def test_no_class_has_a_retired_name() -> None:
    complain(
        f"{source.path}:{each.lineno}: {each.name} is a retired name; call it {retired[each.name]}"
        for source in sources(*PACKAGES, "tests")
        if (retired := RETIRED["classes"].get(source.path.parts[0]))
        for each in source.tree.body
        if isinstance(each, ast.ClassDef) and each.name in retired
    )


def test_no_two_public_classes_have_one_name() -> None:
    """So that a name is enough to find a class."""
    locations: dict[str, list[str]] = {}
    for source in sources(*PACKAGES):
        for each in source.tree.body:
            if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
                locations.setdefault(each.name, []).append(f"{source.path}:{each.lineno}")
    complain(
        f"{name} is the name of {len(found)} classes, at {' and '.join(found)}; class names must be "
        "unique: rename one"
        for name, found in sorted(locations.items())
        if len(found) > 1
    )


def test_no_file_has_a_vague_name() -> None:
    complain(
        f"{source.path}: name it after its content"
        for source in sources()
        if {part.removesuffix(".py") for part in source.path.parts} & VAGUE
    )


def test_no_error_is_swallowed() -> None:
    complain(sentence for source in sources() for sentence in _swallowed(source))


def _swallowed(source: Source) -> Iterator[str]:
    wide = ("", "Exception", "BaseException")
    for node in ast.walk(source.tree):
        idle = isinstance(node, ast.ExceptHandler) and all(
            isinstance(line, ast.Pass | ast.Continue)
            or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            for line in node.body
        )
        if idle and isinstance(node, ast.ExceptHandler) and (node.type is None or dotted(node.type) in wide):
            yield (
                f"{source.path}:{node.lineno}: swallows every error; name the one that is expected, or let "
                "it pass on"
            )
        if isinstance(node, ast.Call) and dotted(node.func).endswith("suppress"):
            for argument in node.args:
                if dotted(argument) in wide[1:]:
                    yield (
                        f"{source.path}:{node.lineno}: suppresses every error; name the one that is expected"
                    )


def test_wire_types_are_spelled_in_the_contracts_only() -> None:
    """So that searching for the class finds every use."""
    others = [s for s in sources() if s.path.parts[0] not in ("contracts", "tests")]
    complain(
        f"{source.path}:{node.lineno}: spells {node.value!r}; write {CATALOG[node.value].__name__}.TYPE"
        for source in others
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CATALOG
    )


@pytest.mark.parametrize(
    "event", [c for c in CATALOG.values() if issubclass(c, Event)], ids=lambda c: c.__name__
)
def test_an_event_is_named_only_where_emitted_or_handled(event: type[Event]) -> None:
    """In each service, a decider, and the service definition where the event starts something or is an added
    message: one search shows all.
    """
    handled_by = {name for name, make in SERVICES.items() if event in make().by_type} | {event.OWNER}
    pattern = re.compile(rf"\b{event.__name__}\b")
    for service in SERVICES:
        files = [str(source.path) for source in sources(service) if pattern.search(source.text)]
        assert service in handled_by or not files, (
            f"{files} name {event.__name__}, but {service} does not consume it"
        )
        definition = SERVICES[service]()
        begins = any(event in aggregate.created_by for aggregate in definition.aggregates)
        assert len(files) <= 1 + (begins or event in definition.added), (
            f"{event.__name__} is spread over {files}; decide about it in one place"
        )
    assert not [s.path for s in sources("chassis") if pattern.search(s.text)], (
        "the chassis must not know domain events"
    )


def test_the_rules_notice_what_they_forbid() -> None:
    made = Source(ROOT.relative_to(ROOT) / "made_up.py")
    made.__dict__["text"] = (  # where cached_property keeps it
        "import contextlib\n"
        "async def f():\n"
        "    datetime.now()\n"
        "    try:\n"
        "        pass\n"
        "    except Exception:\n"
        "        pass\n"
        "    with contextlib.suppress(Exception):\n"
        "        pass\n"
    )
    assert len(list(_impure(made))) == 2
    assert len(list(_swallowed(made))) == 2
