"""Small mistakes, made systematically: every place of a source text where one of a table of slips can be made.

Known tools (cosmic-ray, mutmut, mutatest) bring a test runner and some twenty packages, and know nothing of axes, factors
or square roots. A mutant here is an edit of the text at places that the syntax tree points to, so that the line reads as
its author wrote it but for the slip. Docstrings, annotations, error messages and dtypes are left alone.
"""

from __future__ import annotations
import __future__

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import CodeType
from typing import Any

BINARY: dict[type[ast.operator], tuple[str, tuple[str, ...]]] = {
    ast.Add: ("+", ("-",)),
    ast.Sub: ("-", ("+",)),
    ast.Mult: ("*", ("/",)),
    ast.Div: ("/", ("*",)),
    ast.Pow: ("**", ("*",)),
    ast.FloorDiv: ("//", ("/",)),
    ast.Mod: ("%", ("//",)),
    ast.MatMult: ("@", ()),
    ast.BitOr: ("|", ("&",)),
    ast.BitAnd: ("&", ("|",)),
    ast.BitXor: ("^", ("|",)),
    ast.LShift: ("<<", (">>",)),
    ast.RShift: (">>", ("<<",)),
}
"""An operator, as it is written, and what is put in its place."""

SWAPPED_OPERANDS = (ast.Sub, ast.Div, ast.MatMult)

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}

_PAIRS = (
    ("mean", "sum"),
    ("argmax", "argmin"),
    ("max", "min"),
    ("maximum", "minimum"),
    ("var", "std"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("floor", "ceil"),
    ("sin", "cos"),
    ("any", "all"),
    ("log", "exp"),
)
FUNCTIONS = {**dict(_PAIRS), **{b: a for a, b in _PAIRS}}
"""Functions and methods that are taken for one another."""

UNWRAPPED = {"sqrt", "abs", "absolute", "square", "exp", "log", "tanh", "floor", "array", "copy", "deepcopy", "reversed",
             "list", "dict", "sorted", "max", "min", "maximum", "minimum", "clip"}  # fmt: skip
"""Calls that are forgotten: an argument stands there alone."""

UNWRAPPED_METHODS = {"copy", "transpose", "reshape", "ravel", "astype"}

SYMMETRIC = {"max", "min", "maximum", "minimum"}
"""Functions that do not care for the order of their arguments."""

IGNORED_KEYWORDS = {"dtype", "strict"}


@dataclass(frozen=True)
class Mutant:
    """One slip: the whole text with it, and the line or lines as they were and as they are (stripped, joined by a space).

    ``occurrence`` counts from 1 where the same line stands in the text more than once.
    """

    slip: str
    line: int
    original: str
    mutated: str
    occurrence: int
    source: str


def mutants(source: str) -> list[Mutant]:
    """All mutants of the definitions in a text, in the order of the text.

    Mutants that compile to the same code are one, and one that compiles to the original's code is none.
    """
    lines = source.splitlines()
    seen = {_fingerprint(compiled(source))}
    found = []
    mutator = _Mutator(source)
    for edit in sorted(mutator.edits, key=lambda edit: (edit.start, edit.end)):
        changed = mutator.with_edit(edit)
        try:
            fingerprint = _fingerprint(compiled(changed))
        except SyntaxError:
            continue  # two arguments of which one may not stand first, say
        if fingerprint in seen:
            continue
        seen.add(fingerprint)
        first, before, after = _changed_lines(lines, changed.splitlines())
        same = [number for number, line in enumerate(lines) if line.strip() == lines[first].strip()]
        found.append(Mutant(edit.slip, first + 1, before, after, same.index(first) + 1, changed))
    return found


def compiled(source: str) -> CodeType:
    """The text as a code object; annotations are not evaluated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "is" with a literal, a number that is called: a mutant may look silly
        return compile(source, "<mutant>", "exec", __future__.annotations.compiler_flag, dont_inherit=True)


def _fingerprint(code: CodeType) -> tuple[Any, ...]:
    """What a code object does, without where it stands."""
    constants = tuple(
        _fingerprint(constant) if isinstance(constant, CodeType) else (type(constant).__name__, repr(constant))
        for constant in code.co_consts
    )
    return code.co_name, code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars


def _changed_lines(before: Sequence[str], after: Sequence[str]) -> tuple[int, str, str]:
    """The place of the first line that differs, and the lines from there to the last that differs, before and after."""
    first = next(k for k, (old, new) in enumerate(zip_longest(before, after)) if old != new)
    tail = next(k for k, (old, new) in enumerate(zip_longest(reversed(before), reversed(after))) if old != new)
    tail = min(tail, len(before) - first - 1, len(after) - first - 1)
    old, new = before[first : len(before) - tail], after[first : len(after) - tail]
    return first, " ".join(line.strip() for line in old), " ".join(line.strip() for line in new)


@dataclass(frozen=True)
class _Edit:
    slip: str
    start: int
    end: int
    text: str


class _Mutator(ast.NodeVisitor):
    """Walks through a text and collects edits; places are offsets in the encoded text, as the syntax tree counts them."""

    def __init__(self, source: str) -> None:
        self._bytes = source.encode()
        self._line_starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._line_starts.append(self._line_starts[-1] + len(line))
        self._bound: list[str] = []
        self._nested = False
        self.edits: list[_Edit] = []
        self.visit(ast.parse(source))

    def with_edit(self, edit: _Edit) -> str:
        return (self._bytes[: edit.start] + edit.text.encode() + self._bytes[edit.end :]).decode()

    # --- places and texts ---

    def _span(self, node: Any) -> tuple[int, int]:
        return (
            self._line_starts[node.lineno - 1] + node.col_offset,
            self._line_starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._bytes[start:end].decode()

    def _alone(self, node: ast.AST) -> str:
        """The text of a node so that it can stand anywhere."""
        atom = isinstance(node, ast.Name | ast.Constant | ast.Call | ast.Attribute | ast.Subscript | ast.Tuple | ast.List)
        return self._text(node) if atom else f"({self._text(node)})"

    def _put(self, slip: str, node: ast.AST, *texts: str) -> None:
        start, end = self._span(node)
        self.edits += [_Edit(slip, start, end, text) for text in texts]

    def _put_between(self, slip: str, left: ast.AST, right: ast.AST, sign: str, others: Iterable[str]) -> None:
        """Put something else in the place of the sign that stands between two nodes."""
        start, end = self._span(left)[1], self._span(right)[0]
        gap = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), self._bytes[start:end])
        at = start + gap.index(sign.encode())
        self.edits += [_Edit(slip, at, at + len(sign), other) for other in others]

    # --- functions and the names in them ---

    def visit_Module(self, node: ast.Module) -> None:
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign):
                self._bound = []
                self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            if not _is_text(statement):
                self._bound = []
                self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        bound, nested, self._nested = list(self._bound), self._nested, False
        self._bind_parameters(node.args)
        for statement in node.body:
            if not _is_text(statement):
                self.visit(statement)
        self._bound, self._nested = [*bound, node.name], nested

    def visit_Lambda(self, node: ast.Lambda) -> None:
        outside = list(self._bound)
        self._bind_parameters(node.args)
        self.visit(node.body)
        self._bound = outside

    def _bind_parameters(self, arguments: ast.arguments) -> None:
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        self._bound += [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        self._bound += [a.arg for a in (arguments.vararg, arguments.kwarg) if a]

    def _bind(self, target: ast.AST) -> None:
        for name in ast.walk(target):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store) and name.id not in self._bound:
                self._bound.append(name.id)

    def visit_Name(self, node: ast.Name) -> None:
        """The names that were bound just before and just after it are taken for this one."""
        if isinstance(node.ctx, ast.Load) and node.id in self._bound:
            at = self._bound.index(node.id)
            neighbours = self._bound[max(0, at - 1) : at] + self._bound[at + 1 : at + 2]
            self._put("another name", node, *neighbours)

    # --- statements ---

    def _visit_body(self, statements: Sequence[ast.stmt]) -> None:
        nested, self._nested = self._nested, True
        for statement in statements:
            self.visit(statement)
        self._nested = nested

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        containers = [target for target in node.targets if isinstance(target, ast.Subscript | ast.Attribute)]
        names = {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if len(containers) == len(node.targets) or (not containers and names <= set(self._bound)):
            self._put("assignment dropped", node, "pass")
        elif containers:
            kept = [self._text(target) for target in node.targets if target not in containers]
            self._put("assignment dropped", node, " = ".join([*kept, self._text(node.value)]))
        for target in node.targets:
            self.visit(target)
            self._bind(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)
        self._bind(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._put("assignment dropped", node, "pass")
        self._put("assigned instead of added", node, f"{self._text(node.target)} = {self._text(node.value)}")
        sign, others = BINARY[type(node.op)]
        self._put_between("operator", node.target, node.value, sign + "=", [other + "=" for other in others])
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        self._put("call dropped", node, "pass")
        self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        if self._nested:
            self._put("return dropped", node, "pass")
        if isinstance(node.value, ast.Tuple):
            self._put_swapped("results swapped", node.value.elts)
        if node.value:
            self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        self._put("break dropped", node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._put("continue dropped", node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        """What a wrong call is told is not graded."""

    def visit_If(self, node: ast.If) -> None:
        self._put_condition(node.test)
        self._visit_body(node.body)
        self._visit_body(node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self._put_condition(node.test)
        self._visit_body(node.body)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self._bind(node.target)
        self._visit_body(node.body)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.visit(node.iter)
        self._bind(node.target)
        for condition in node.ifs:
            self._put_condition(condition)

    def _visit_comprehension(self, node: Any) -> None:
        outside = list(self._bound)
        for generator in node.generators:
            self.visit(generator)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self._bound = outside

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _visit_comprehension

    def _put_condition(self, condition: ast.expr) -> None:
        self._put("condition negated", condition, f"not ({self._text(condition)})")
        self.visit(condition)

    # --- expressions ---

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Text for a reader."""

    def visit_Constant(self, node: ast.Constant) -> None:
        self._put("constant", node, *_other_constants(node.value))

    def visit_Tuple(self, node: ast.Tuple) -> None:
        if len(node.elts) > 1 and all(isinstance(element, ast.Constant) for element in node.elts):
            for left_out in node.elts:
                kept = [self._text(element) for element in node.elts if element is not left_out]
                self._put("axis dropped", node, f"({', '.join(kept)}{',' if len(kept) == 1 else ''})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self._put("sign dropped", node, self._alone(node.operand))
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, int):
            self._put("constant", node, str(1 - node.operand.value))  # not one less: -1 and -2 are often the same
        else:
            self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        left, right = self._alone(node.left), self._alone(node.right)
        sign, others = BINARY[type(node.op)]
        if isinstance(node.op, ast.Pow):  # what takes its place binds less tightly
            self._put("operator", node, *(f"({left} {other} {right})" for other in others))
        else:
            self._put_between("operator", node.left, node.right, sign, others)
        self._put("term dropped", node, left)
        if isinstance(node.op, ast.Add | ast.Mult):
            self._put("term dropped", node, right)
        if isinstance(node.op, ast.Sub):
            self._put("term dropped", node, f"(-{right})")
        if isinstance(node.op, SWAPPED_OPERANDS):
            self._put("operands swapped", node, f"({right} {sign} {left})")
        self.visit(node.left)
        self.visit(node.right)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
            sign, others = COMPARISONS[type(operator)]
            self._put_between("comparison", left, right, sign, others)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._put_between("and / or", left, right, sign, [other])
        for left_out in node.values:
            kept = [self._alone(value) for value in node.values if value is not left_out]
            self._put("term dropped", node, f"({f' {sign} '.join(kept)})")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._put_condition(node.test)
        self._put("one branch only", node, self._alone(node.body), self._alone(node.orelse))
        self.visit(node.body)
        self.visit(node.orelse)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr == "T":
            self._put("transposition dropped", node, self._text(node.value))
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Load):
            self._put("index dropped", node, self._text(node.value))
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        if node.lower and node.upper:
            self._put("bound dropped", node, f"{self._text(node.lower)}:", f":{self._text(node.upper)}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in FUNCTIONS and name not in self._bound:
            end = self._span(function)[1]
            self.edits.append(_Edit("another function", end - len(name), end, FUNCTIONS[name]))
        if name in UNWRAPPED:
            self._put("call dropped", node, *(self._alone(argument) for argument in node.args))
        if name in UNWRAPPED_METHODS and isinstance(function, ast.Attribute):
            self._put("call dropped", node, self._alone(function.value))
        if name not in SYMMETRIC:
            self._put_swapped("arguments swapped", node.args)
        self._put_arguments(node, name)
        self.visit(function)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg not in IGNORED_KEYWORDS)]:
            self.visit(argument)

    def _put_arguments(self, node: ast.Call, name: str) -> None:
        """Keywords left out or added, and a range one longer or shorter."""
        if len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp):
            return  # its text begins at the parenthesis of the call
        called, given = self._text(node.func), [self._text(part) for part in (*node.args, *node.keywords)]

        def put(slip: str, arguments: Iterable[str]) -> None:
            self._put(slip, node, f"{called}({', '.join(arguments)})")

        for number, keyword in enumerate(node.keywords, len(node.args)):
            if keyword.arg and keyword.arg not in IGNORED_KEYWORDS:
                put(f"{keyword.arg} dropped", given[:number] + given[number + 1 :])
        keywords = {keyword.arg for keyword in node.keywords}
        if name in ("var", "std") and "ddof" not in keywords:
            put("ddof", [*given, "ddof=1"])
        if "axis" in keywords and "keepdims" not in keywords:
            put("keepdims", [*given, "keepdims=True"])
        if name == "range" and not isinstance(node.args[-1], ast.Constant):
            for other in ("+ 1", "- 1"):
                put("one more or less", [*given[:-1], f"{given[-1]} {other}"])

    def _put_swapped(self, slip: str, nodes: Sequence[ast.expr]) -> None:
        for one, other in zip(nodes, nodes[1:], strict=False):
            if isinstance(one, ast.Starred) or isinstance(other, ast.Starred):
                continue
            (start, end), (next_start, next_end) = self._span(one), self._span(other)
            between = self._bytes[end:next_start].decode()
            self.edits.append(_Edit(slip, start, next_end, self._text(other) + between + self._text(one)))


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _other_constants(value: object) -> Iterator[str]:
    """What is written in the place of a constant by mistake."""
    if isinstance(value, bool):
        yield repr(not value)
    elif isinstance(value, int):
        yield from (repr(value + 1), f"({value - 1})" if value < 1 else repr(value - 1))
    elif isinstance(value, float):
        if value == 0:
            yield "1.0"
        elif abs(value) < 0.02:
            yield from (f"{10 * value:.3g}", f"{value / 10:.3g}")
        else:
            yield from (f"{1.1 * value:.4g}", f"{value / 2:.4g}")
    elif isinstance(value, str):
        yield repr(f"other {value}")
