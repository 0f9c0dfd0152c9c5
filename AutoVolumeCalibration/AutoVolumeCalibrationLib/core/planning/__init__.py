"""From landmarks to the anatomical frame, the scan box, its checks and the prescription."""
