"""The Nix language: values written so that they stand for themselves, and a reader for where Nix is not installed."""

import importlib
import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

_KEYWORDS = frozenset(("assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"))
_READER = ("tree_sitter", "tree_sitter_nix")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")


def string(text: str) -> str:
    """A string that stands for `text`, whatever is in it. Raises ValueError for NUL, which Nix cannot hold."""
    if "\0" in text:
        raise ValueError("A text for Nix cannot hold NUL.")
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def attribute(name: str) -> str:
    """One name in a path of attributes, quoted where it has to be."""
    return name if _PLAIN_NAME.fullmatch(name) and name not in _KEYWORDS else string(name)


def nix_list(values: Sequence[Union[str, int]]) -> str:
    """A list of strings and whole numbers."""
    inner = " ".join(str(value) if isinstance(value, int) else string(value) for value in values)
    return f"[ {inner} ]" if inner else "[ ]"


def comment(text: str) -> str:
    """Text that stays within the line of its comment."""
    return " ".join(text.split())


def check_syntax(source: str) -> Optional[List[str]]:
    """What is wrong with a Nix file, as far as its syntax and names defined twice; None if there is no parser here."""
    try:
        tree_sitter, grammar = (importlib.import_module(name) for name in _READER)
    except ImportError:
        return None
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    root = parser.parse(source.encode()).root_node
    return [*_errors(root), *_twice(root)] or []


def _errors(node: Any) -> Iterator[str]:
    if node.is_missing:
        yield f"line {node.start_point[0] + 1}: `{node.type}` is missing."
    elif node.type == "ERROR":
        text = comment(node.text.decode(errors="replace"))
        yield f"line {node.start_point[0] + 1}: not understood: {text[:60]}"
    elif node.has_error:
        for child in node.children:
            yield from _errors(child)


def _twice(node: Any) -> Iterator[str]:
    """Attributes that are defined twice in one set, also by way of sets within."""
    if node.type == "binding_set":
        seen: Dict[Tuple[str, ...], bool] = {}
        yield from _define(node, (), seen)
    else:
        for child in node.children:
            yield from _twice(child)


def _define(bindings: Any, above: Tuple[str, ...], seen: Dict[Tuple[str, ...], bool]) -> Iterator[str]:
    """Notes each path of a set; True in `seen` is a value, False a set that goes on."""
    for binding in bindings.named_children:
        if binding.type != "binding":
            yield from _twice(binding)
            continue
        path = above + tuple(_name(part) for part in binding.child_by_field_name("attrpath").named_children)
        value = binding.child_by_field_name("expression")
        inner = [child for child in value.named_children if child.type == "binding_set"]
        is_set = value.type == "attrset_expression"
        taken = seen.get(path)
        if taken is True or (taken is False and not is_set) or any(seen.get(path[:end]) for end in range(1, len(path))):
            yield f"line {binding.start_point[0] + 1}: `{'.'.join(path)}` is defined twice."
        seen[path] = not is_set
        for end in range(1, len(path)):
            seen.setdefault(path[:end], False)
        if is_set:
            for child in inner:
                yield from _define(child, path, seen)
        else:
            yield from _twice(value)


def _name(part: Any) -> str:
    return str(part.text.decode(errors="replace")).strip('"')
