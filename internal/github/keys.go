package github

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is how long keys are used without asking again.
	keysFresh = 10 * time.Minute
	// keysRefreshSpacing keeps tokens with made-up key ids from turning into requests.
	keysRefreshSpacing = time.Minute
	// keysRetrySpacing is used instead as long as there are no keys at all: nothing works without them.
	keysRetrySpacing = 5 * time.Second
	// maxKeys bounds what is kept over all rotations; the longest unseen go first.
	maxKeys = 64
	// minRSABits is the least that RS256 asks for: RFC 7518 §3.3.
	minRSABits = 2048
)

// Keys are the public keys of one OIDC issuer. Keys that the issuer stops serving are kept for the life of the
// process, because nothing says for how long GitHub serves a retired one. Safe for concurrent use.
type Keys struct {
	issuer   string
	http     *http.Client
	logger   *slog.Logger
	now      func() time.Time
	fetching gate

	mu      sync.Mutex
	keys    []jose.JSONWebKey // most recently served last
	fetched time.Time         // last success
	asked   time.Time         // last attempt
	lastErr error             // of the last attempt
}

// KeysConfig holds the optional parts of [Keys].
type KeysConfig struct {
	HTTP   *http.Client
	Logger *slog.Logger
	Now    func() time.Time
}

// NewKeys returns the keys of issuer, for example https://token.actions.githubusercontent.com. Nothing is fetched yet.
func NewKeys(issuer string, cfg KeysConfig) *Keys {
	return &Keys{
		issuer: strings.TrimRight(issuer, "/"), http: boundedHTTP(cfg.HTTP),
		logger: orDiscard(cfg.Logger), now: orWallClock(cfg.Now), fetching: newGate(),
	}
}

// Set returns the issuer's keys, at most 10 minutes old as long as the issuer can be reached. If it cannot, keys seen
// before are returned; an error means that there are none.
func (k *Keys) Set(ctx context.Context) (jose.JSONWebKeySet, error) {
	return k.get(ctx, keysFresh)
}

// Refresh returns the issuer's keys after asking it again, for a token with an unknown key id. It asks at most once a
// minute and otherwise returns what the last answer was: an error means that the issuer could not be asked, so that the
// key may yet turn out to be its own.
func (k *Keys) Refresh(ctx context.Context) (jose.JSONWebKeySet, error) {
	set, err := k.get(ctx, keysRefreshSpacing)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && k.lastErr != nil {
		return jose.JSONWebKeySet{}, k.lastErr
	}
	return set, err
}

// get asks the issuer if the last success is at least maxAge old and the last attempt long enough ago.
func (k *Keys) get(ctx context.Context, maxAge time.Duration) (jose.JSONWebKeySet, error) {
	if set, done, err := k.known(maxAge); done {
		return set, err
	}
	if err := k.fetching.enter(ctx); err != nil {
		return jose.JSONWebKeySet{}, fmt.Errorf("waiting for the keys of %s: %w", k.issuer, err)
	}
	defer k.fetching.leave()
	if set, done, err := k.known(maxAge); done { // somebody else asked meanwhile
		return set, err
	}
	keys, err := k.fetch(ctx)
	if ctx.Err() != nil {
		return jose.JSONWebKeySet{}, fmt.Errorf("fetching the keys of %s: %w", k.issuer, ctx.Err())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked, k.lastErr = k.now(), err
	if err == nil {
		k.fetched = k.asked
		k.keys = union(k.keys, keys)
	} else {
		k.logger.Warn("keys of the issuer could not be fetched", "error", err)
	}
	return k.result()
}

// known returns what is there, and whether that has to do for now.
func (k *Keys) known(maxAge time.Duration) (jose.JSONWebKeySet, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, spacing := k.now(), keysRefreshSpacing
	if len(k.keys) == 0 {
		spacing = keysRetrySpacing
	}
	fresh := !k.fetched.IsZero() && now.Sub(k.fetched) < maxAge
	tooSoon := !k.asked.IsZero() && now.Sub(k.asked) < spacing
	if !fresh && !tooSoon {
		return jose.JSONWebKeySet{}, false, nil
	}
	set, err := k.result()
	return set, true, err
}

// result needs k.mu.
func (k *Keys) result() (jose.JSONWebKeySet, error) {
	if len(k.keys) == 0 && k.lastErr != nil {
		return jose.JSONWebKeySet{}, k.lastErr
	}
	return jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey(nil), k.keys...)}, nil
}

// union puts what was served now last; the issuer's newest word on a key id wins.
func union(kept, served []jose.JSONWebKey) []jose.JSONWebKey {
	now := map[string]bool{}
	for _, key := range served {
		now[key.KeyID] = true
	}
	var all []jose.JSONWebKey
	for _, key := range kept {
		if !now[key.KeyID] {
			all = append(all, key)
		}
	}
	all = append(all, served...)
	return all[max(0, len(all)-maxKeys):]
}

func (k *Keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := k.fetchJSON(ctx, k.issuer+"/.well-known/openid-configuration", &discovery); err != nil {
		return nil, fmt.Errorf("discovering the OIDC issuer %s: %w", k.issuer, err)
	}
	if strings.TrimRight(discovery.Issuer, "/") != k.issuer {
		return nil, fmt.Errorf("discovering the OIDC issuer: got issuer %q, want %q", cut(discovery.Issuer, maxMessageBytes, "…"), k.issuer)
	}
	jwks, err := url.Parse(discovery.JWKSURI)
	if err != nil || jwks.Host == "" || !strings.HasPrefix(k.issuer, jwks.Scheme+"://") {
		return nil, fmt.Errorf("discovering the OIDC issuer %s: its jwks_uri is not an address of the same scheme", k.issuer)
	}
	var served struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.fetchJSON(ctx, jwks.String(), &served); err != nil {
		return nil, fmt.Errorf("fetching the keys of %s: %w", k.issuer, err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range served.Keys {
		var key jose.JSONWebKey
		// A kind of key that is new to us must not hide the ones that we know.
		if key.UnmarshalJSON(raw) == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("fetching the keys of %s: none of its %d keys can verify a signature", k.issuer, len(served.Keys))
	}
	return keys, nil
}

// usable accepts public signature keys only; above all no symmetric key, which would let anyone sign.
func usable(key jose.JSONWebKey) bool {
	if key.KeyID == "" || (key.Use != "" && key.Use != "sig") || !key.Valid() || !key.IsPublic() {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

func (k *Keys) fetchJSON(ctx context.Context, address string, out any) error {
	body, status, err := fetch(ctx, k.http, address, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("got status %d, want 200", status)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("the answer is not the expected JSON")
	}
	return nil
}
