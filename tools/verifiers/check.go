package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"filippo.io/torchwood"
	"github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/fsck"
	sumdb "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// paths collects a flag that may come several times.
type paths []string

func (p *paths) String() string { return fmt.Sprint(*p) }

func (p *paths) Set(value string) error {
	*p = append(*p, value)
	return nil
}

// log is a log whose newest checkpoint holds.
type log struct {
	fetcher  fsck.Fetcher
	verifier sumdb.Verifier
	newest   torchwood.Checkpoint
	hashes   tlog.HashReader
	prefix   string
	// Below this index entries, and tiles of level 0, may be missing: a multiple of 256.
	minimum int64
}

func check(ctx context.Context, arguments []string) error {
	var old, proofs, witnesses paths
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.Var(&old, "old", "file with an older checkpoint")
	flags.Var(&proofs, "proof", "file with a .tlog-proof whose extra line is the entry")
	flags.Var(&witnesses, "witness", "key of a witness that must have cosigned")
	raw := flags.Bool("raw", false, "entries are no headers")
	minimum := flags.Int64("min", 0, "index below which entries may be missing because they were pruned")
	if err := flags.Parse(arguments[2:]); err != nil {
		return err
	}
	log, err := open(ctx, arguments[0], arguments[1], witnesses)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if *minimum%256 != 0 || *minimum < 0 || *minimum > log.newest.N {
		return fmt.Errorf("the minimum index is %d, which is no multiple of 256 up to the size %d", *minimum, log.newest.N)
	}
	log.minimum = *minimum
	if err := log.pruned(); err != nil {
		return err
	}
	if err := log.entries(ctx, !*raw); err != nil {
		return err
	}
	for _, path := range old {
		if err := log.beginsWith(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, path := range proofs {
		if err := log.includes(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func open(ctx context.Context, prefix, key string, witnesses []string) (*log, error) {
	fetcher, err := fetcherOf(prefix)
	if err != nil {
		return nil, err
	}
	verifier, err := sumdb.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	signed, err := fetcher.ReadCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	newest, err := checkpointOf(signed, verifier)
	if err != nil {
		return nil, err
	}
	for _, witness := range witnesses {
		if err := cosigned(signed, witness); err != nil {
			return nil, err
		}
	}
	tree := tlog.Tree{N: newest.N, Hash: newest.Hash}
	hashes := tlog.TileHashReader(tree, tiles{ctx, fetcher})
	return &log{fetcher: fetcher, verifier: verifier, newest: newest, hashes: hashes, prefix: prefix}, nil
}

func checkpointOf(signed []byte, verifier sumdb.Verifier) (torchwood.Checkpoint, error) {
	opened, err := sumdb.Open(signed, sumdb.VerifierList(verifier))
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	checkpoint, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return checkpoint, err
	}
	if checkpoint.Origin != verifier.Name() {
		return checkpoint, fmt.Errorf("the origin is %q, the key's name %q", checkpoint.Origin, verifier.Name())
	}
	if checkpoint.Extension != "" {
		return checkpoint, errors.New("the checkpoint has extension lines")
	}
	return checkpoint, nil
}

func cosigned(signed []byte, witness string) error {
	verifier, err := note.NewVerifierForCosignatureV1(witness)
	if err != nil {
		return err
	}
	if _, err := sumdb.Open(signed, sumdb.VerifierList(verifier)); err != nil {
		return fmt.Errorf("cosignature of %s: %w", verifier.Name(), err)
	}
	return nil
}

// pruned reads the root of every tile of level 0 that may be missing: each is in a tile that leads to the root.
func (l *log) pruned() error {
	for tile := int64(0); tile < l.minimum/256; tile++ {
		if _, err := l.hashes.ReadHashes([]int64{tlog.StoredHashIndex(8, tile)}); err != nil {
			return fmt.Errorf("root of the pruned tile %d: %w", tile, err)
		}
	}
	return nil
}

// entries compares every entry that must be there with its leaf hash, which is read from tiles that lead to the root, and
// follows the chain.
func (l *log) entries(ctx context.Context, areHeaders bool) error {
	follow := chain{seq: uint64(l.minimum), isFirstUnknown: l.minimum > 0}
	for first := l.minimum; first < l.newest.N; first += 256 {
		count := min(l.newest.N-first, 256)
		hashes, err := l.leaves(first, count)
		if err != nil {
			return fmt.Errorf("tile of entry %d: %w", first, err)
		}
		bundle, err := l.bundle(ctx, first, count)
		if err != nil {
			return fmt.Errorf("bundle of entry %d: %w", first, err)
		}
		for i, entry := range bundle {
			index := first + int64(i)
			if tlog.RecordHash(entry) != hashes[i] {
				return fmt.Errorf("entry %d is not the one in the tree", index)
			}
			if err := follow.next(entry); areHeaders && err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
	}
	return nil
}

func (l *log) leaves(first, count int64) ([]tlog.Hash, error) {
	indexes := make([]int64, count)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	return l.hashes.ReadHashes(indexes)
}

func (l *log) bundle(ctx context.Context, first, count int64) ([][]byte, error) {
	data, err := l.fetcher.ReadEntryBundle(ctx, uint64(first/256), uint8(count%256))
	if err != nil {
		return nil, err
	}
	bundle := &api.EntryBundle{}
	if err := bundle.UnmarshalText(data); err != nil {
		return nil, err
	}
	if int64(len(bundle.Entries)) < count {
		return nil, fmt.Errorf("it has %d entries, not %d", len(bundle.Entries), count)
	}
	return bundle.Entries[:count], nil
}

func (l *log) beginsWith(path string) error {
	signed, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	old, err := checkpointOf(signed, l.verifier)
	if err != nil {
		return err
	}
	return l.extends(old)
}

// extends proves that the tree of an older checkpoint is the beginning of the newest.
func (l *log) extends(old torchwood.Checkpoint) error {
	if old.N > l.newest.N {
		return fmt.Errorf("the log went back from size %d to %d", old.N, l.newest.N)
	}
	if old.N == 0 {
		return nil
	}
	prove := func() (tlog.TreeProof, error) { return tlog.ProveTree(l.newest.N, old.N, l.hashes) }
	if old.N < l.minimum && old.N%256 != 0 {
		// The tile that it cuts may be missing: the log itself has to show the way.
		prove = func() (tlog.TreeProof, error) { return consistency(l.prefix, old.N, l.newest.N) }
	}
	steps, err := prove()
	if err != nil {
		return err
	}
	return tlog.CheckTree(steps, l.newest.N, l.newest.Hash, old.N, old.Hash)
}

// includes checks a proof to keep, and that its checkpoint is one of this log.
func (l *log) includes(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	bundle := proof.TLogProof{}
	if err := bundle.Unmarshal(text); err != nil {
		return err
	}
	if string(bundle.Marshal()) != string(text) {
		return errors.New("it is not in its only spelling")
	}
	checkpoint, err := checkpointOf(bundle.Checkpoint, l.verifier)
	if err != nil {
		return err
	}
	steps := make(tlog.RecordProof, len(bundle.Hashes))
	for i, hash := range bundle.Hashes {
		steps[i] = hash
	}
	leaf := tlog.RecordHash(bundle.ExtraData)
	if err := tlog.CheckRecord(steps, checkpoint.N, checkpoint.Hash, int64(bundle.Index), leaf); err != nil {
		return err
	}
	return l.extends(checkpoint)
}
