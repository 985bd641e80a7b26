"""The product's version, as the CHANGELOG has it."""

VERSION = "0.1.0"
