"""Overlays, plots, reports and dashboards."""
