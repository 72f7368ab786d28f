package main

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
)

const (
	headerBytes   = 105
	headerContext = "boboyka.sapixdb.com 2026-11 strand block header v1"
)

// chain follows headers as docs/strand-format.md has them.
type chain struct {
	seq    uint64
	parent [32]byte
	// The entry before the first one is pruned, so nothing is known of the first one's parent.
	isFirstUnknown bool
}

func (c *chain) next(header []byte) error {
	if len(header) != headerBytes || header[0] != 1 {
		return errors.New("it is no header of version 1")
	}
	seq := binary.BigEndian.Uint64(header[5:13])
	if seq != c.seq+1 {
		return fmt.Errorf("its seq is %d, not %d", seq, c.seq+1)
	}
	if isGenesis := header[1]&1 == 1; isGenesis != (seq == 1) {
		return errors.New("its genesis flag does not fit its place")
	}
	if !c.isFirstUnknown && [32]byte(header[37:69]) != c.parent {
		return errors.New("its parent is not the entry before")
	}
	c.isFirstUnknown = false
	c.seq = seq
	blake3.DeriveKey(headerContext, header, c.parent[:])
	return nil
}
