package github

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	keyBits = 2048
	// saveSpacing bounds what a kill loses, and keeps a busy benchmark from rewriting the file for each request.
	saveSpacing = 100 * time.Millisecond
)

// state is everything that a restart keeps.
type state struct {
	NextID       int64                  `json:"nextID"`
	Repositories map[string]*repository `json:"repositories"` // by lower-case full name
	Tokens       map[string]*token      `json:"tokens"`       // by value
	Runs         []*workflowRun         `json:"runs"`
	CheckRuns    []*checkRun            `json:"checkRuns"`
	Statuses     []*commitStatus        `json:"statuses"`
	Deployments  []*deployment          `json:"deployments"`
	Pulls        []*pullRequest         `json:"pulls"`
	Comments     []*issueComment        `json:"comments"`
	Apps         []*madeApp             `json:"apps"`    // made from manifests
	Granted      map[string]string      `json:"granted"` // to the lab's own App; nil: see granted
	Signing      signingKey             `json:"signing"`
}

type repository struct {
	ID           int64            `json:"id"`
	OwnerID      int64            `json:"ownerID"`
	Owner        string           `json:"owner"`
	Name         string           `json:"name"`
	Installation int64            `json:"installation"`
	Visibility   string           `json:"visibility"`
	CreatedAt    time.Time        `json:"createdAt"`
	RunNumbers   map[string]int64 `json:"runNumbers"` // the last ones given, by path of the workflow
}

func (r *repository) fullName() string { return r.Owner + "/" + r.Name }

// token is an installation's or a workflow run's.
type token struct {
	Value        string            `json:"value"`
	User         *user             `json:"user,omitempty"` // of a personal access token
	AppID        int64             `json:"appID"`
	AppSlug      string            `json:"appSlug"`
	Installation int64             `json:"installation,omitempty"` // 0 for a workflow's token
	Repositories []string          `json:"repositories,omitempty"` // lower case; empty: all of the installation
	Permissions  map[string]string `json:"permissions"`
	ExpiresAt    time.Time         `json:"expiresAt"`
}

type signingKey struct {
	ID  string `json:"id"`
	PEM string `json:"pem"`
}

func loadState(file string) (*state, error) {
	st := &state{NextID: 1000, Repositories: map[string]*repository{}, Tokens: map[string]*token{}}
	text, err := os.ReadFile(file) // the operator's own path
	if file == "" || errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state: %w", err)
	}
	if err := json.Unmarshal(text, st); err != nil {
		return nil, fmt.Errorf("decoding the state %s: %w", file, err)
	}
	return st, nil
}

// id returns the next number; one row of numbers serves all kinds of things.
func (st *state) id() int64 {
	st.NextID++
	return st.NextID
}

// attempts of a run, the first one first; none for a new run.
func (st *state) attempts(runID int64) []*workflowRun {
	var found []*workflowRun
	for _, run := range st.Runs {
		if runID != 0 && run.RunID == runID {
			found = append(found, run)
		}
	}
	return found
}

func (st *state) repository(owner, name string) *repository {
	return st.Repositories[strings.ToLower(owner+"/"+name)]
}

// installationOf gives all repositories of one owner the same installation.
func (st *state) installationOf(owner string) int64 {
	for _, r := range st.Repositories {
		if strings.EqualFold(r.Owner, owner) {
			return r.Installation
		}
	}
	return st.id()
}

// rotate replaces the key that signs ID tokens; the old one is gone at once.
func (st *state) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("making a signing key: %w", err)
	}
	st.Signing = signingKey{ID: fmt.Sprintf("lab-%d", st.id()), PEM: string(encodeKey(key))}
	return nil
}

// encodeKey is PKCS #1 in PEM, as GitHub hands an App's key out.
func encodeKey(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func (k signingKey) private() (*rsa.PrivateKey, error) { return decodeKey([]byte(k.PEM)) }

func decodeKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

// loadAppKey reads the App's private key, and makes one first if there is none.
func loadAppKey(file string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(file) // the operator's own path
	if errors.Is(err, fs.ErrNotExist) {
		key, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			return nil, fmt.Errorf("making the App's key: %w", err)
		}
		return key, writeAtomically(file, encodeKey(key))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the App's key: %w", err)
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the App's key %s: %w", file, err)
	}
	return key, nil
}

// writeAtomically replaces file, readable for its owner only, so that a reader sees the old or the new content.
func writeAtomically(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

// saver writes the state some time after each change, and at the end.
type saver struct {
	file    string
	encode  func() ([]byte, error)
	logger  *slog.Logger
	pending chan struct{}
	stop    chan struct{}
	once    sync.Once
	done    chan error
}

func startSaver(file string, encode func() ([]byte, error), logger *slog.Logger) *saver {
	sv := &saver{
		file: file, encode: encode, logger: logger,
		pending: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan error, 1),
	}
	go sv.run()
	return sv
}

func (sv *saver) changed() {
	select {
	case sv.pending <- struct{}{}:
	default: // a save is due anyway
	}
}

func (sv *saver) run() {
	for {
		select {
		case <-sv.stop:
			sv.done <- sv.save()
			return
		case <-sv.pending:
			if err := sv.save(); err != nil {
				sv.logger.Error("state could not be saved", "error", err)
			}
		}
		select {
		case <-sv.stop:
		case <-time.After(saveSpacing):
		}
	}
}

func (sv *saver) save() error {
	if sv.file == "" {
		return nil
	}
	content, err := sv.encode()
	if err != nil {
		return fmt.Errorf("encoding the state: %w", err)
	}
	if err := writeAtomically(sv.file, content); err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	return nil
}

// close saves once more and waits for it; the second call returns nil.
func (sv *saver) close() error {
	var err error
	sv.once.Do(func() {
		close(sv.stop)
		err = <-sv.done
	})
	return err
}
