package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/inhaul/inhaul/internal/github"
)

// maxTokenBytes is far more than any token of GitHub has.
const maxTokenBytes = 4 << 10

// readToken reads a file that somebody may write anew at any time.
func readToken(file string) (string, error) {
	f, err := os.Open(file) //nolint:gosec // because whoever sets the environment names the file
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // because it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxTokenBytes+1))
	if err == nil && len(text) > maxTokenBytes {
		err = fmt.Errorf("it has more than %d bytes, which no token has", maxTokenBytes)
	}
	return string(text), err
}

// tokenClient is a client with the token that is in a file now.
type tokenClient struct {
	file   string
	config github.TokenConfig

	mu     sync.Mutex
	token  string
	latest *github.Client // with token
}

// client is the same one for as long as the file stays the same: it knows what GitHub
// asked it to wait for. A file that cannot be read now leaves the token as it was.
func (t *tokenClient) client() (*github.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token, err := readToken(t.file)
	if t.latest != nil && (err != nil || token == "" || token == t.token) {
		return t.latest, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading INHAUL_GITHUB_TOKEN_FILE: %w", err)
	}
	config := t.config
	config.Token = token
	client, err := github.NewToken(config)
	if err != nil {
		return nil, fmt.Errorf("reading INHAUL_GITHUB_TOKEN_FILE: %w", err)
	}
	t.token, t.latest = token, client
	return client, nil
}
