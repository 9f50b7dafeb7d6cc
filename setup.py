"""Adds conf/, which lies at the top of a clone, to the package as sola.conf."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sola", "sola.*"]), "sola.conf"],
    package_dir={"sola.conf": "conf"},
)
