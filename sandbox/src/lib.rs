//! What makes an embedded cluster behave: controllers, scheduler, simulated kubelets.
