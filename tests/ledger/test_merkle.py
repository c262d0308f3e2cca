"""The tree against the definition of RFC 6962, and proofs that prove only what is true."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ledger import merkle
from engine.ledger.merkle import Frontier, leaf_hash, root

#: the leaves and roots of the test of the Certificate Transparency reference implementation
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_the_reference(size):
    assert root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size]
    assert Frontier().grown(LEAVES[:size]).root().hex() == ROOTS[size]


@given(st.lists(st.binary(max_size=4), max_size=40), st.integers(0, 40))
def test_a_frontier_grows_like_the_whole_tree_and_survives_storage(lines, split):
    half = Frontier().grown(lines[:split])
    stored = Frontier.from_bytes(half.size, half.to_bytes())
    assert stored.grown(lines[split:]).root() == root([leaf_hash(line) for line in lines])


def test_bytes_of_another_size_are_no_frontier():
    with pytest.raises(ValueError, match="64 bytes are no frontier of a tree of 4"):
        Frontier.from_bytes(4, bytes(64))


@given(st.integers(1, 40), st.data())
@settings(max_examples=60)
def test_inclusion_is_proved_for_this_leaf_at_this_place_only(size, data):
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, leaves)
    top = root(leaves)
    assert merkle.verify_inclusion(leaves[index], index, size, proof, top)
    other = data.draw(st.integers(0, size - 1))
    assert (other == index) == merkle.verify_inclusion(leaves[index], other, size, proof, top)
    assert not merkle.verify_inclusion(leaf_hash(b"foreign"), index, size, proof, top)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*proof, bytes(32)], top)
    assert not proof or not merkle.verify_inclusion(leaves[index], index, size, proof[:-1], top)


@given(st.integers(1, 40), st.data())
@settings(max_examples=60)
def test_consistency_is_proved_for_a_tree_that_only_grew(size, data):
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency_proof(old, leaves)
    assert merkle.verify_consistency(old, root(leaves[:old]), size, root(leaves), proof)
    changed = [leaf_hash(b"changed"), *leaves[1:]]
    assert not merkle.verify_consistency(old, root(changed[:old]), size, root(leaves), proof)
    assert not merkle.verify_consistency(old, root(leaves[:old]), size, root(changed), proof)
    assert not merkle.verify_consistency(
        old, root(leaves[:old]), size, root(leaves), [*proof, bytes(32)]
    )


def test_there_is_no_proof_for_what_is_not_there():
    leaves = [leaf_hash(b"0")]
    with pytest.raises(ValueError, match="leaf 1 is not in a tree of 1"):
        merkle.inclusion_proof(1, leaves)
    with pytest.raises(ValueError, match="a tree of 1 has no earlier tree of 2"):
        merkle.consistency_proof(2, leaves)
    assert not merkle.verify_inclusion(leaves[0], 0, 0, [], leaves[0])
    assert not merkle.verify_consistency(0, b"", 1, leaves[0], [])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tree_that_grew_gives_the_proofs_of_the_definition(data):
    leaves = [leaf_hash(bytes([n])) for n in range(data.draw(st.integers(1, 70)))]
    tree = merkle.Tree()
    for leaf in leaves:
        tree.append(leaf)
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert tree.root(size) == root(leaves[:size])
    assert tree.inclusion(index, size) == merkle.inclusion_proof(index, leaves[:size])
    assert tree.consistency(old, size) == merkle.consistency_proof(old, leaves[:size])
    with pytest.raises(ValueError, match="not in a tree"):
        tree.inclusion(size, size)
