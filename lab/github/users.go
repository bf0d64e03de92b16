package github

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// actionsBotID is the account of a workflow's own comments.
const actionsBotID = 41898282

// user is whose personal access token it is.
type user struct {
	Login string `json:"login"`
	ID    int64  `json:"id"`
}

// author is the account that a token writes as.
func (t *token) author() (login string, id int64) {
	switch {
	case t.User != nil:
		return t.User.Login, t.User.ID
	case t.AppID == actionsAppID:
		return actionsAppSlug + "[bot]", actionsBotID
	}
	return t.AppSlug + "[bot]", t.AppID
}

// makeToken answers POST /_lab/tokens with a personal access token, {"token": …}, for
// {"login": "mona", "repositories": ["acme/storefront"], "permissions": {"statuses": "write"}, "lifetime": "1h"}.
// Without repositories it reaches all.
func (s *Server) makeToken(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Login        string            `json:"login"`
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
		Lifetime     string            `json:"lifetime"`
	}
	lifetime := 24 * time.Hour
	err := readJSON(r, &asked)
	if err == nil && asked.Login == "" {
		err = errors.New("login: want whose token it is")
	}
	if err == nil && asked.Lifetime != "" {
		lifetime, err = time.ParseDuration(asked.Lifetime)
	}
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	made := &token{
		Value: "github_pat_" + randomText(22) + "_" + randomText(59), User: &user{Login: asked.Login, ID: s.userID(asked.Login)},
		Repositories: asked.Repositories, Permissions: asked.Permissions, ExpiresAt: s.now().Add(lifetime),
	}
	s.state.Tokens[made.Value] = made
	s.mu.Unlock()
	s.saver.changed()
	s.writeJSON(w, http.StatusCreated, map[string]string{"token": made.Value})
}

// userID gives all tokens of one user the same account.
func (s *Server) userID(login string) int64 {
	for _, t := range s.state.Tokens {
		if t.User != nil && strings.EqualFold(t.User.Login, login) {
			return t.User.ID
		}
	}
	return s.state.id()
}

// getUser is refused to the tokens of Apps, a workflow's own included.
func (s *Server) getUser(req *apiRequest) reply {
	if req.caller.User == nil {
		return notAccessible(req.caller, "")
	}
	const made = "2020-01-01T00:00:00Z"
	shape := s.account(req.caller.User.Login, req.caller.User.ID)
	shape["type"], shape["user_view_type"], shape["created_at"], shape["updated_at"] = "User", "public", made, made
	for _, name := range []string{"bio", "blog", "company", "email", "hireable", "location", "name"} {
		shape[name] = nil
	}
	for _, name := range []string{"followers", "following", "public_gists", "public_repos"} {
		shape[name] = 0
	}
	return reply{status: http.StatusOK, body: shape}
}
