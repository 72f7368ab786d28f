package main

import (
	"context"
	"fmt"
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
