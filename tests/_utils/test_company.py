import threading

import pytest

from skeegclip._utils.company import each_alone, is_each_alone


def test_it_holds_inside_and_in_no_other_thread():
    assert not is_each_alone()
    heard = []
    with each_alone():
        assert is_each_alone()
        other = threading.Thread(target=lambda: heard.append(is_each_alone()))
        other.start()
        other.join()
    assert heard == [False]
    with pytest.raises(KeyError), each_alone():
        raise KeyError
    assert not is_each_alone()
