package github

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	maxJWTLifetime    = 10 * time.Minute
	clockTolerance    = 5 * time.Second
	tokenLifetime     = time.Hour
	classicTokenChars = 36 // after ghs_
)

// granted is what the installations of the lab's App allow, unless /_lab/app says otherwise.
func (s *Server) granted() map[string]string {
	if s.state.Granted != nil {
		return s.state.Granted
	}
	return map[string]string{
		"checks": "write", "contents": "read", "deployments": "write", "metadata": "read",
		"pull_requests": "write", "statuses": "write",
	}
}

// verifyAppJWT applies GitHub's rules for an App's own requests, and returns the App.
func (s *Server) verifyAppJWT(bearer string) (*madeApp, error) {
	const undecodable = "A JSON web token could not be decoded"
	parsed, err := jwt.ParseSigned(bearer, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		//lint:ignore ST1005 GitHub's own words
		return nil, errors.New(undecodable) //nolint:staticcheck // GitHub's own words
	}
	var claims struct {
		Issuer   json.RawMessage  `json:"iss"`
		IssuedAt *jwt.NumericDate `json:"iat"`
		Expiry   *jwt.NumericDate `json:"exp"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		//lint:ignore ST1005 GitHub's own words
		return nil, errors.New(undecodable) //nolint:staticcheck // GitHub's own words
	}
	app := s.app(strings.Trim(string(claims.Issuer), `"`))
	if app == nil {
		return nil, errors.New("'Issuer' claim ('iss') must be the id of the GitHub App")
	}
	key, err := app.key()
	if err == nil {
		err = parsed.Claims(&key.PublicKey, &claims)
	}
	now := s.now()
	switch {
	case err != nil:
		//lint:ignore ST1005 GitHub's own words
		return nil, errors.New(undecodable) //nolint:staticcheck // GitHub's own words
	case claims.IssuedAt == nil || claims.IssuedAt.Time().After(now.Add(clockTolerance)):
		return nil, errors.New("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case claims.Expiry == nil || claims.Expiry.Time().Before(now):
		return nil, errors.New("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case claims.Expiry.Time().Sub(now) > maxJWTLifetime+clockTolerance:
		return nil, errors.New("'Expiration time' claim ('exp') is too far in the future")
	}
	return app, nil
}

func (s *Server) getInstallation(req *apiRequest) reply {
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	if repo == nil || req.app.installation(repo) == 0 {
		return fail(http.StatusNotFound, "Not Found")
	}
	id := strconv.FormatInt(req.app.installation(repo), 10)
	return reply{status: http.StatusOK, body: map[string]any{
		"id": req.app.installation(repo), "app_id": req.app.ID, "app_slug": req.app.Slug, "client_id": req.app.ClientID,
		"account": s.account(repo.Owner, repo.OwnerID), "target_id": repo.OwnerID, "target_type": "Organization",
		"repository_selection": "all", "permissions": req.app.Permissions, "events": []string{},
		"access_tokens_url": s.base + "/app/installations/" + id + "/access_tokens",
		"repositories_url":  s.base + "/installation/repositories",
		"html_url":          s.base + "/organizations/" + repo.Owner + "/settings/installations/" + id,
		"created_at":        timestamp(repo.CreatedAt), "updated_at": timestamp(repo.CreatedAt),
		"single_file_name": nil, "suspended_by": nil, "suspended_at": nil,
	}}
}

func (s *Server) createToken(req *apiRequest) reply {
	installation, err := strconv.ParseInt(req.params["installation_id"], 10, 64)
	if err != nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	var ask struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if len(req.body) > 0 && json.Unmarshal(req.body, &ask) != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	chosen, all, ok := s.chosen(req.app, installation, ask.Repositories, ask.RepositoryIDs)
	if !ok {
		return fail(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
	}
	if len(all) == 0 {
		return fail(http.StatusNotFound, "Not Found")
	}
	permissions := maps.Clone(req.app.Permissions)
	if ask.Permissions != nil {
		for name, level := range ask.Permissions {
			if have := req.app.Permissions[name]; have != level && have != "write" {
				return fail(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
			}
		}
		permissions = ask.Permissions
		permissions["metadata"] = "read"
	}
	made := &token{
		Value: s.tokenValue(req.app.ID), AppID: req.app.ID, AppSlug: req.app.Slug, Installation: installation,
		Permissions: permissions, ExpiresAt: s.now().Add(tokenLifetime).Truncate(time.Second),
	}
	body := map[string]any{
		"token": made.Value, "expires_at": timestamp(made.ExpiresAt), "permissions": permissions, "repository_selection": "all",
	}
	if len(chosen) > 0 {
		var shapes []any
		for _, repo := range chosen {
			made.Repositories = append(made.Repositories, repo.fullName())
			shapes = append(shapes, s.repositoryShape(repo))
		}
		body["repository_selection"], body["repositories"] = "selected", shapes
	}
	s.state.Tokens[made.Value] = made
	s.dropExpiredTokens()
	s.saver.changed()
	return reply{status: http.StatusCreated, body: body}
}

// chosen returns the named repositories of an installation and all that it has; ok is false if one is not there.
func (s *Server) chosen(app *madeApp, installation int64, names []string, ids []int64) (chosen, all []*repository, ok bool) {
	wanted := len(names) + len(ids)
	for _, repo := range s.state.Repositories {
		if app.installation(repo) != installation {
			continue
		}
		all = append(all, repo)
		for _, name := range names {
			if strings.EqualFold(name, repo.Name) {
				chosen = append(chosen, repo)
			}
		}
		for _, id := range ids {
			if id == repo.ID {
				chosen = append(chosen, repo)
			}
		}
	}
	return chosen, all, len(chosen) == wanted
}

func (s *Server) dropExpiredTokens() {
	for value, t := range s.state.Tokens {
		if s.now().After(t.ExpiresAt) {
			delete(s.state.Tokens, value)
		}
	}
}

// tokenValue alternates between GitHub's two forms: 40 characters, and since 2026 a long one that holds a JWT.
func (s *Server) tokenValue(app int64) string {
	s.issued++
	if s.issued%2 == 1 {
		return "ghs_" + randomText(classicTokenChars)
	}
	part := func(v any) string {
		encoded, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	header := part(map[string]string{"alg": "ES256", "typ": "JWT", "kid": "lab"})
	claims := part(map[string]any{"iss": "github.com", "jti": randomText(32), "exp": s.now().Add(tokenLifetime).Unix()})
	return fmt.Sprintf("ghs_%d_%s.%s.%s", app, header, claims, randomText(342))
}

// randomHex returns n hexadecimal digits.
func randomHex(n int) string {
	raw := make([]byte, (n+1)/2)
	_, _ = rand.Read(raw) // never fails since Go 1.24
	return hex.EncodeToString(raw)[:n]
}

// randomText returns n letters and digits that nobody can guess.
func randomText(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, n)
	_, _ = rand.Read(out) // never fails since Go 1.24
	for i := range out {
		out[i] = alphabet[int(out[i])%len(alphabet)] // a slight bias harms no stand-in
	}
	return string(out)
}
