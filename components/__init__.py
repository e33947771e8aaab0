"""The bridge from a notebook to a Kubeflow component."""
