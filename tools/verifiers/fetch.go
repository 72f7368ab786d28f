package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/tlog"
)

// fetcherOf reads a log below a URL or in a folder.
func fetcherOf(prefix string) (fsck.Fetcher, error) {
	if !strings.HasPrefix(prefix, "http") {
		return client.FileFetcher{Root: prefix}, nil
	}
	root, err := url.Parse(prefix)
	if err != nil {
		return nil, err
	}
	return client.NewHTTPFetcher(root, nil)
}

// tiles is the fetcher as golang.org/x/mod/sumdb/tlog wants it.
type tiles struct {
	ctx     context.Context
	fetcher fsck.Fetcher
}

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for i, tile := range wanted {
		hashes, err := t.fetcher.ReadTile(t.ctx, uint64(tile.L), uint64(tile.N), uint8(tile.W%256))
		if err != nil {
			return nil, err
		}
		if len(hashes) < tile.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d/%d has %d bytes, fewer than %d hashes", tile.L, tile.N, len(hashes), tile.W)
		}
		data[i] = hashes[:tile.W*tlog.HashSize]
	}
	return data, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// consistency asks a log for the proof between two sizes. What the log says is checked by the caller.
func consistency(prefix string, old, size int64) (tlog.TreeProof, error) {
	if !strings.HasPrefix(prefix, "http") {
		return nil, errors.New("only a log over HTTP can show the way from a size that it has pruned")
	}
	answer, err := http.Get(fmt.Sprintf("%s/consistency?from=%d&to=%d", strings.TrimSuffix(prefix, "/"), old, size))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the log shows no way from size %d to %d: %s", old, size, answer.Status)
	}
	said := struct{ Hashes []string }{}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return nil, err
	}
	steps := make(tlog.TreeProof, len(said.Hashes))
	for i, text := range said.Hashes {
		hash, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(hash) != tlog.HashSize {
			return nil, fmt.Errorf("the hash %q is none", text)
		}
		steps[i] = tlog.Hash(hash)
	}
	return steps, nil
}
