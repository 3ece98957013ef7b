"""nbgrader's settings for this course; works as it is in any other course directory where `autograder` is installed."""

from autograder.nbgrader_plugin import configure

c = get_config()  # noqa: F821  (nbgrader provides it)
configure(c)
