"""The configuration files, installed as the package sola.conf."""
