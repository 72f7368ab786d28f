// Verifiers checks a log with libraries that others wrote: golang.org/x/mod, Tessera, transparency-dev/formats. It also gives
// a litewitness the two things that it needs beside itself: an ssh-agent with its key, and the logs that it trusts.
//
//	verifiers check PREFIX VKEY [-old FILE]... [-proof FILE]... [-witness VKEY]... [-min INDEX] [-raw]
//	verifiers fsck PREFIX VKEY
//	verifiers agent SOCKET SEED      prints the key's fingerprint and serves until it is ended
//	verifiers trust DATABASE VKEY    adds a log to a litewitness's database
//
// PREFIX is a URL or a folder. It prints "ok" and exits with 0 when all holds, else prints what does not and exits with 1.
package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// What hangs has failed; see Tessera's issue 1098.
const timeLimit = 2 * time.Minute

var commands = map[string]func(context.Context, []string) error{
	"check": check,
	"fsck":  runFsck,
	"agent": serveAgent,
	"trust": trust,
}

func main() {
	if len(os.Args) < 4 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: verifiers check|fsck PREFIX VKEY, agent SOCKET SEED, trust DATABASE VKEY")
		os.Exit(2)
	}
	ctx := context.Background()
	if os.Args[1] != "agent" {
		limited, cancel := context.WithTimeout(ctx, timeLimit)
		defer cancel()
		ctx = limited
	}
	if err := commands[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}
