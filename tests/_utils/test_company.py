import threading

import pytest

from skeegclip._utils.company import each_alone, is_each_alone, is_up_to_rounding, up_to_rounding


@pytest.mark.parametrize(
    ("asked", "holds"), [(each_alone, is_each_alone), (up_to_rounding, is_up_to_rounding)]
)
def test_it_holds_inside_and_in_no_other_thread(asked, holds):
    assert not holds()
    heard = []
    with asked():
        assert holds()
        other = threading.Thread(target=lambda: heard.append(holds()))
        other.start()
        other.join()
    assert heard == [False]
    with pytest.raises(KeyError), asked():
        raise KeyError
    assert not holds()
