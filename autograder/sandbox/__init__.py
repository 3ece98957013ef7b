"""Running code that nobody trusts: the student's process is on one side of a wall, the verdict is formed on the other."""

from autograder.sandbox.launch import Cell, Sandbox, SandboxUnavailable, SandboxWarning, sandbox_problem
from autograder.sandbox.limits import Limits

__all__ = ["Cell", "Limits", "Sandbox", "SandboxUnavailable", "SandboxWarning", "sandbox_problem"]
