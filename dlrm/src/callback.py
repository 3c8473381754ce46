"""DLRM's log lines, as its users' tools read them."""


def loss_line(time: str, epoch: int, step: int, loss: float) -> str:
    """A line of loss.log; epochs and steps count from 1, steps within the epoch."""
    return f"{time} epoch: {epoch}, step: {step}, loss is {loss}"


def eval_line(time: str, metrics: dict[str, float], seconds: float) -> str:
    """A line of auc.log (training) or acc.log (eval.py)."""
    figures = {name: metrics[name] for name in sorted(metrics)}
    return f"{time} EvalCallBack metric {figures}; eval_time {seconds:.0f}s"
