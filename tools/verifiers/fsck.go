package main

import (
	"context"
	"fmt"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

// More than the resources of a log in the tests: as many bad resources as workers hang the check for ever.
const workers = 1000

func runFsck(ctx context.Context, arguments []string) error {
	fetcher, err := fetcherOf(arguments[0])
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(arguments[1])
	if err != nil {
		return err
	}
	check := fsck.New(verifier.Name(), verifier, fetcher, leafHashes, fsck.Opts{N: workers})
	ended := make(chan error, 1)
	go func() { ended <- check.Check(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("fsck has not ended in %s", timeLimit)
	}
}

func leafHashes(data []byte) ([][]byte, error) {
	bundle := &api.EntryBundle{}
	if err := bundle.UnmarshalText(data); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(bundle.Entries))
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}
