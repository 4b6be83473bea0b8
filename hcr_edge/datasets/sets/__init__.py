"""Every published set, by name: one module for each, or for each family."""

from hcr_edge.datasets.published import PublishedSet
from hcr_edge.datasets.sets.ahcd import AHCD
from hcr_edge.datasets.sets.az import AZ
from hcr_edge.datasets.sets.emnist import EMNIST, MNIST
from hcr_edge.datasets.sets.hijja import HIJJA
from hcr_edge.datasets.sets.hoda import HODA
from hcr_edge.datasets.sets.latin_letters import LATIN
from hcr_edge.datasets.sets.russian_letters import RUSSIAN_LETTERS
from hcr_edge.datasets.sets.trees import COMNIST, PERSIAN_DIGIT_TREE, SD19

SETS: dict[str, PublishedSet] = {
    item.name: item
    for item in (
        AHCD,
        HIJJA,
        *EMNIST,
        MNIST,
        HODA,
        PERSIAN_DIGIT_TREE,
        *COMNIST,
        RUSSIAN_LETTERS,
        AZ,
        SD19,
        *LATIN,
    )
}
