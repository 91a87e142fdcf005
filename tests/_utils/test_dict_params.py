"""Parameters that are dicts, of which a grid can name one entry."""

from __future__ import annotations

from skeegclip._utils.dict_params import DictParams


class Estimator(DictParams):
    def __init__(self, net_params=None, lr=1.0):
        self.net_params, self.lr = net_params, lr


def test_an_entry_is_set_and_the_others_and_the_users_dict_stay():
    given = {"width": 3}
    estimator = Estimator(given).set_params(net_params__dropout=0.5, lr=2.0)
    assert estimator.get_params() == {"net_params": {"width": 3, "dropout": 0.5}, "lr": 2.0}
    assert given == {"width": 3}
    assert Estimator().set_params(net_params={"a": 1}, net_params__b=2).net_params == {"a": 1, "b": 2}
