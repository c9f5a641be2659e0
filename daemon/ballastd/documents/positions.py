"""YAML with positions: one loader for every document, strict, bounded, and able to say where each key stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ballastd.errors import ConfigurationError

BYTES_MAX = 256 * 1024
NODES_MAX = 20_000
DEPTH_MAX = 20
CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null"))

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain value, the file it is from, and where each key path stands (line, column)."""

    file: str
    value: Any
    marks: dict[Path_, tuple[int, int]]

    def where(self, path: Path_) -> str:
        """Return ``file:line:column`` of ``path``, or of its nearest parent that stands in the text."""
        while path not in self.marks and path:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        return f"{self.file}:{line}:{column}"


def read(path: Path) -> str:
    """Return the text of a file.

    Raises:
        ConfigurationError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigurationError((f"{path}: cannot be read: {error.strerror or error}",)) from error
    if len(raw) > BYTES_MAX:
        raise ConfigurationError((f"{path}: {len(raw)} bytes, at most {BYTES_MAX} are read; split it",))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError((f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8",)) from error


def parse(file: str, text: str) -> tuple[Document, ...]:
    """Return the documents of a YAML 1.2 text; empty ones are left out.

    Raises:
        ConfigurationError: not YAML, a duplicate key, a tag, an anchor, too deep or too many nodes.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    documents = []
    try:
        for node in yaml.compose_all(text):
            if node is None or _is_null(node):
                continue
            marks: dict[Path_, tuple[int, int]] = {}
            budget = _Budget()
            value = _build(file, node, (), marks, budget, 0)
            documents.append(Document(file, value, marks))
    except DuplicateKeyError as error:
        raise ConfigurationError((_marked(file, error),)) from error
    except MarkedYAMLError as error:
        raise ConfigurationError((_marked(file, error),)) from error
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise ConfigurationError((f"{file}:1:1: not YAML: {str(error).splitlines()[0] if str(error) else error!r}",)) \
            from error
    return tuple(documents)


@dataclass(slots=True)
class _Budget:
    nodes: int = 0


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value == "" and not node.style


def _build(file: str, node: Node, path: Path_, marks: dict[Path_, tuple[int, int]], budget: _Budget, depth: int) -> Any:
    budget.nodes += 1
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    marks.setdefault(path, (line, column))
    place = f"{file}:{line}:{column}"
    if budget.nodes > NODES_MAX:
        raise ConfigurationError((f"{place}: more than {NODES_MAX} values in one document (or an anchor that multiplies "
                                  "itself); split it",))
    if depth > DEPTH_MAX:
        raise ConfigurationError((f"{place}: nested deeper than {DEPTH_MAX} levels",))
    if node.anchor is not None:
        raise ConfigurationError((f"{place}: anchors and aliases are not used here; write the value out",))
    tag = str(node.tag)
    if tag not in CORE_TAGS:
        raise ConfigurationError((f"{place}: the tag {tag!r} is not used here; write a plain value",))
    if isinstance(node, MappingNode):
        return dict(_pairs(file, node, path, marks, budget, depth))
    if isinstance(node, SequenceNode):
        return [_build(file, item, (*path, i), marks, budget, depth + 1) for i, item in enumerate(node.value)]
    if not isinstance(node, ScalarNode):
        raise ConfigurationError((f"{place}: not a plain value",))
    return _scalar(node, tag)


def _pairs(file: str, node: MappingNode, path: Path_, marks: dict[Path_, tuple[int, int]], budget: _Budget,
           depth: int) -> Iterator[tuple[str, Any]]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, ScalarNode):
            raise ConfigurationError((f"{file}:{line}:{column}: a key must be a word",))
        key = str(key_node.value)
        if key in seen:
            raise ConfigurationError((f"{file}:{line}:{column}: {key}: stands here twice (first in line {seen[key]}); "
                                      "keep one",))
        seen[key] = line
        marks[(*path, key)] = (line, column)
        yield key, _build(file, value_node, (*path, key), marks, budget, depth + 1)


def _scalar(node: ScalarNode, tag: str) -> Any:
    """Return a scalar by YAML 1.2's core rules: ``no``, ``on`` and ``22:30`` are words, quoted things as well."""
    text = str(node.value)
    kind = tag.rsplit(":", 1)[1]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true" if text.lower() in ("true", "false") else text
    if kind == "int":
        plain = text.lstrip("+-")
        return int(text) if plain.isdecimal() else text
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _marked(file: str, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = str(error.problem or error.context or "not YAML").splitlines()[0]
    hint = "; indent with spaces, not tabs" if "\\t" in what or "tab" in what else ""
    return f"{file}:{line}:{column}: not YAML: {what}{hint}"
