"""What a reviewer needs to decide: metrics, report, gate and signed decisions."""
