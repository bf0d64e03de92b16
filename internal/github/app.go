package github

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// GitHub allows an App's JWT to last 10 minutes and advises to date it back, against clocks that differ.
	// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
	jwtBackdate = 60 * time.Second
	jwtLifetime = 540 * time.Second

	// tokenMargin is how long before its end an installation token (1 hour) is no longer used.
	tokenMargin = 5 * time.Minute

	maxKeyBytes = 64 << 10
)

// ParsePrivateKey reads an App's private key: RSA in PEM, as GitHub hands it out (PKCS #1) or as PKCS #8.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("GitHub App private key: %d bytes, want at most %d", len(text), maxKeyBytes)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("GitHub App private key: no PEM block found")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("GitHub App private key: not a valid PKCS #1 RSA key")
		}
		return key, nil
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("GitHub App private key: not a valid PKCS #8 key")
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("GitHub App private key: got %T, want an RSA key", parsed)
		}
		return key, nil
	}
	return nil, fmt.Errorf("GitHub App private key: got a PEM block %q, want %q or %q", block.Type, "RSA PRIVATE KEY", "PRIVATE KEY")
}

// app is the credential of a GitHub App: one installation token per account, renewed before it ends.
type app struct {
	client      *Client
	id          int64
	signer      jose.Signer
	permissions map[string]string
	// One look-up at a time of a repository, and one new token of an installation: a repository that GitHub does not
	// answer for keeps no other one waiting.
	looking gates[string]
	making  gates[int64]

	mu            sync.Mutex
	installations map[string]int64 // by repository
	tokens        map[int64]installationToken
}

type installationToken struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

func newApp(c *Client, cfg AppConfig) (*app, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: cfg.PrivateKey}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("preparing the GitHub App's signer: %w", err)
	}
	permissions := maps.Clone(cfg.Permissions)
	if permissions == nil {
		permissions = wantedPermissions()
	}
	return &app{
		client: c, id: cfg.AppID, signer: signer, permissions: permissions,
		installations: map[string]int64{}, tokens: map[int64]installationToken{},
	}, nil
}

func (a *app) token(ctx context.Context, repository string) (string, int64, error) {
	installation, err := a.installation(ctx, repository)
	if err != nil {
		return "", 0, err
	}
	if token, ok := a.cached(installation); ok {
		return token, installation, nil
	}
	making := a.making.of(installation)
	if err := making.enter(ctx); err != nil {
		return "", 0, fmt.Errorf("waiting for an installation token: %w", err)
	}
	defer making.leave()
	if token, ok := a.cached(installation); ok { // somebody else fetched it meanwhile
		return token, installation, nil
	}
	token, err := a.fetch(ctx, installation, a.permissions)
	if refused, ok := errors.AsType[*APIError](err); ok && refused.Status == http.StatusUnprocessableEntity {
		token, err = a.fetchGranted(ctx, repository, installation)
	}
	if err != nil {
		a.forget(repository)
		return "", 0, fmt.Errorf("making an installation token for %s: %w", repository, err)
	}
	return token, installation, nil
}

// fetchGranted makes a token with less than what is wanted.
func (a *app) fetchGranted(ctx context.Context, repository string, installation int64) (string, error) {
	granted, err := a.granted(ctx, repository)
	if err != nil {
		return "", err
	}
	a.client.logger.Warn("the GitHub App's installation grants less than what is used", "repository", repository, "reason", fmt.Sprintf("got %v, want %v", granted, a.permissions))
	return a.fetch(ctx, installation, granted)
}

func (a *app) fetch(ctx context.Context, installation int64, permissions map[string]string) (string, error) {
	bearer, err := a.jwt()
	if err != nil {
		return "", err
	}
	var made installationToken
	path := "/app/installations/" + strconv.FormatInt(installation, 10) + "/access_tokens"
	body := map[string]any{"permissions": permissions}
	if err := a.client.do(ctx, call{method: http.MethodPost, path: path, bearer: bearer, body: body}, &made); err != nil {
		return "", err
	}
	if made.Token == "" {
		return "", errors.New("GitHub's answer has no token")
	}
	a.mu.Lock()
	a.tokens[installation] = made
	a.mu.Unlock()
	return made.Token, nil
}

func (a *app) cached(installation int64) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	token, ok := a.tokens[installation]
	if !ok || a.client.now().After(token.ExpiresAt.Add(-tokenMargin)) {
		return "", false
	}
	return token.Token, true
}

// rejected drops the token, and where the App is installed, which may have changed. If another caller has renewed the
// token meanwhile, that one is kept.
func (a *app) rejected(repository, token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	installation := a.installations[repository]
	if a.tokens[installation].Token == token {
		delete(a.tokens, installation)
		delete(a.installations, repository)
	}
	return true
}

func (a *app) forget(repository string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.installations, repository)
}

func (a *app) known(repository string) (int64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id, known := a.installations[repository]
	return id, known
}

func (a *app) installation(ctx context.Context, repository string) (int64, error) {
	if id, known := a.known(repository); known {
		return id, nil
	}
	looking := a.looking.of(repository)
	if err := looking.enter(ctx); err != nil {
		return 0, fmt.Errorf("waiting for the GitHub App's installation in %s: %w", repository, err)
	}
	defer looking.leave()
	if id, known := a.known(repository); known { // somebody else found it meanwhile
		return id, nil
	}
	found, err := a.lookUp(ctx, repository)
	if err != nil {
		return 0, err
	}
	a.mu.Lock()
	a.installations[repository] = found.ID
	a.mu.Unlock()
	return found.ID, nil
}

// installed is where an App is installed, and what it may do there.
type installed struct {
	ID          int64             `json:"id"`
	Permissions map[string]string `json:"permissions"`
}

func (a *app) lookUp(ctx context.Context, repository string) (installed, error) {
	path, err := repositoryPath(repository)
	if err != nil {
		return installed{}, err
	}
	bearer, err := a.jwt()
	if err != nil {
		return installed{}, err
	}
	var found installed
	err = a.client.do(ctx, call{method: http.MethodGet, path: path + "/installation", bearer: bearer}, &found)
	if refused, ok := errors.AsType[*APIError](err); ok && refused.Status == http.StatusNotFound {
		return installed{}, fmt.Errorf("GitHub App %d is not installed in %s: %w", a.id, repository, err)
	}
	if err != nil {
		return installed{}, fmt.Errorf("looking up the GitHub App's installation in %s: %w", repository, err)
	}
	return found, nil
}

func (a *app) jwt() (string, error) {
	now := a.client.now()
	signed, err := jwt.Signed(a.signer).Claims(jwt.Claims{
		Issuer:   strconv.FormatInt(a.id, 10),
		IssuedAt: jwt.NewNumericDate(now.Add(-jwtBackdate)),
		Expiry:   jwt.NewNumericDate(now.Add(jwtLifetime)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing the GitHub App's token: %w", err)
	}
	return signed, nil
}
