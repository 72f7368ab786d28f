package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	sumdb "golang.org/x/mod/sumdb/note"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// serveAgent is an ssh-agent with one key, which is where litewitness looks for its own.
func serveAgent(_ context.Context, arguments []string) error {
	seed, err := hex.DecodeString(arguments[1])
	if err != nil || len(seed) != ed25519.SeedSize {
		return fmt.Errorf("the seed is not %d bytes in hexadecimal", ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(seed)
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return err
	}
	listener, err := net.Listen("unix", arguments[0])
	if err != nil {
		return err
	}
	fmt.Println(ssh.FingerprintSHA256(public))
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() { _ = agent.ServeAgent(ring, connection) }()
	}
}

// trust makes the tables of a litewitness's database, unless they are there, and adds a log of which nothing is cosigned yet.
func trust(_ context.Context, arguments []string) error {
	verifier, err := sumdb.NewVerifier(arguments[1])
	if err != nil {
		return err
	}
	db, err := sqlite.OpenConn(arguments[0], sqlite.OpenReadWrite, sqlite.OpenCreate, sqlite.OpenWAL)
	if err != nil {
		return err
	}
	defer db.Close()
	empty := sha256.Sum256(nil)
	tables := `
		CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS key (origin TEXT NOT NULL, key TEXT NOT NULL,
			FOREIGN KEY(origin) REFERENCES log(origin));`
	if err := sqlitex.ExecScript(db, tables); err != nil {
		return err
	}
	root := base64.StdEncoding.EncodeToString(empty[:])
	if err := execute(db, "INSERT INTO log VALUES (?, 0, ?)", verifier.Name(), root); err != nil {
		return err
	}
	return execute(db, "INSERT INTO key VALUES (?, ?)", verifier.Name(), arguments[1])
}

func execute(db *sqlite.Conn, statement string, values ...any) error {
	return sqlitex.Execute(db, statement, &sqlitex.ExecOptions{Args: values})
}
