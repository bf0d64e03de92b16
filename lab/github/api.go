package github

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiRequest is one request that kept to the description and said who it is.
type apiRequest struct {
	http   *http.Request
	params map[string]string
	body   []byte
	caller *token   // nil for a request signed by the App itself
	app    *madeApp // nil for a request with a token
}

// reply is an answer before it is checked against the description.
type reply struct {
	status int
	body   any
	header http.Header
}

const documentationURL = "https://docs.github.com/rest"

func fail(status int, message string) reply {
	return reply{status: status, body: map[string]any{"message": message, "documentation_url": documentationURL, "status": strconv.Itoa(status)}}
}

// operation is a handler and what it asks of the caller. It runs with Server.mu held.
type operation struct {
	serve      func(*Server, *apiRequest) reply
	asApp      bool   // the caller is the App itself, by JWT
	public     bool   // the caller need not say who it is
	permission string // "checks:write" …, "|" between those of which one is enough; empty: any valid token
}

func operations() map[string]operation {
	return map[string]operation{
		"GET /repos/{owner}/{repo}/installation":                          {serve: (*Server).getInstallation, asApp: true},
		"POST /app/installations/{installation_id}/access_tokens":         {serve: (*Server).createToken, asApp: true},
		"POST /app-manifests/{code}/conversions":                          {serve: (*Server).convertManifest, public: true},
		"GET /repos/{owner}/{repo}":                                       {serve: (*Server).getRepository, permission: "metadata:read"},
		"GET /rate_limit":                                                 {serve: (*Server).getRateLimit},
		"GET /user":                                                       {serve: (*Server).getUser},
		"POST /repos/{owner}/{repo}/check-runs":                           {serve: (*Server).createCheckRun, permission: "checks:write"},
		"PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}":           {serve: (*Server).updateCheckRun, permission: "checks:write"},
		"GET /repos/{owner}/{repo}/check-runs/{check_run_id}":             {serve: (*Server).getCheckRun, permission: "checks:read"},
		"GET /repos/{owner}/{repo}/commits/{ref}/check-runs":              {serve: (*Server).listCheckRuns, permission: "checks:read"},
		"POST /repos/{owner}/{repo}/statuses/{sha}":                       {serve: (*Server).createStatus, permission: "statuses:write"},
		"GET /repos/{owner}/{repo}/commits/{ref}/status":                  {serve: (*Server).combinedStatus, permission: "statuses:read"},
		"GET /repos/{owner}/{repo}/commits/{ref}/statuses":                {serve: (*Server).listStatuses, permission: "statuses:read"},
		"POST /repos/{owner}/{repo}/deployments":                          {serve: (*Server).createDeployment, permission: "deployments:write"},
		"GET /repos/{owner}/{repo}/deployments":                           {serve: (*Server).listDeployments, permission: "deployments:read"},
		"GET /repos/{owner}/{repo}/deployments/{deployment_id}":           {serve: (*Server).getDeployment, permission: "deployments:read"},
		"POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses": {serve: (*Server).createDeploymentStatus, permission: "deployments:write"},
		"GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses":  {serve: (*Server).listDeploymentStatuses, permission: "deployments:read"},
		"GET /repos/{owner}/{repo}/pulls":                                 {serve: (*Server).listPulls, permission: "pull_requests:read"},
		"GET /repos/{owner}/{repo}/pulls/{pull_number}":                   {serve: (*Server).getPull, permission: "pull_requests:read"},
		"GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls":            {serve: (*Server).listPullsOfCommit, permission: "pull_requests:read|contents:read"},
		"POST /repos/{owner}/{repo}/issues/{issue_number}/comments":       {serve: (*Server).createComment, permission: "pull_requests:write|issues:write"},
		"GET /repos/{owner}/{repo}/issues/{issue_number}/comments":        {serve: (*Server).listComments, permission: "pull_requests:read|issues:read"},
		"GET /repos/{owner}/{repo}/issues/comments/{comment_id}":          {serve: (*Server).getComment, permission: "pull_requests:read|issues:read"},
		"PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}":        {serve: (*Server).updateComment, permission: "pull_requests:write|issues:write"},
		"DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}":       {serve: (*Server).deleteComment, permission: "pull_requests:write|issues:write"},
	}
}

// api is the way of one request: log → faults → contract → limits → caller → handler → contract → ETag.
func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	entry := s.logRequest(r)
	f := s.nextFault(r)
	if f != nil {
		if err := f.wait(r.Context()); err != nil {
			return
		}
		if f.replaces() && !f.After {
			f.answer(w)
			s.logStatus(entry, f.Status)
			return
		}
	}
	w.Header().Set("X-Github-Request-Id", fmt.Sprintf("LAB:%d", entry))
	w.Header().Set("X-Github-Media-Type", "github.v3; format=json")
	status, header, body := s.answer(r)
	s.logStatus(entry, status)
	if f != nil && f.replaces() { // done, but the client must not learn it
		f.answer(w)
		return
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.logger.Debug("client went away", "error", err)
	}
}

// answer runs the handler between the two checks of the contract.
func (s *Server) answer(r *http.Request) (int, http.Header, []byte) {
	x, err := s.contract.request(r)
	if x == nil {
		s.violate(r, "request", err)
		return encoded(fail(http.StatusNotFound, "Not Found"))
	}
	if err != nil {
		return encoded(fail(http.StatusUnprocessableEntity, "Validation Failed: "+s.violate(r, "request", err)))
	}
	rep := s.serve(r, x)
	status, header, body := encoded(rep)
	if r.Method == http.MethodGet && status == http.StatusOK {
		etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(body))
		header.Set("Etag", etag)
		if r.Header.Get("If-None-Match") == etag {
			status, body = http.StatusNotModified, nil
			header.Del("Content-Type")
		}
	}
	s.count(r, status, header)
	if err := s.contract.response(r.Context(), x, status, header, body); err != nil {
		return encoded(fail(http.StatusInternalServerError, "the stand-in broke GitHub's description: "+s.violate(r, "response", err)))
	}
	return status, header, body
}

func encoded(rep reply) (int, http.Header, []byte) {
	if rep.status == http.StatusNoContent {
		return rep.status, http.Header{}, nil
	}
	body, err := json.Marshal(rep.body)
	if err != nil {
		return http.StatusInternalServerError, http.Header{}, []byte(`{"message":"encoding the answer"}`)
	}
	header := rep.header
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	return rep.status, header, body
}

func (s *Server) serve(r *http.Request, x *exchange) reply {
	op, ok := operations()[x.operation]
	if !ok {
		return fail(http.StatusNotFound, "Not Found")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	req := &apiRequest{http: r, params: x.params, body: x.body}
	bearer := bearerOf(r)
	if op.public {
		return op.serve(s, req)
	}
	if op.asApp {
		app, err := s.verifyAppJWT(bearer)
		if err != nil {
			return fail(http.StatusUnauthorized, err.Error())
		}
		req.app = app
		return op.serve(s, req)
	}
	caller, ok := s.state.Tokens[bearer]
	if !ok || !s.now().Before(caller.ExpiresAt) {
		return fail(http.StatusUnauthorized, "Bad credentials")
	}
	req.caller = caller
	if limited, rep := s.limited(r, caller); limited {
		return rep
	}
	if x.params["repo"] != "" && !s.mayReach(caller, x.params["owner"], x.params["repo"]) {
		return fail(http.StatusNotFound, "Not Found")
	}
	if !caller.may(op.permission) {
		return notAccessible(caller, op.permission)
	}
	rep := op.serve(s, req)
	if r.Method != http.MethodGet && rep.status < http.StatusBadRequest {
		s.saver.changed()
	}
	return rep
}

// notAccessible names the permissions in a header, as GitHub does.
func notAccessible(caller *token, permission string) reply {
	by := "integration"
	if caller.User != nil {
		by = "personal access token"
	}
	rep := fail(http.StatusForbidden, "Resource not accessible by "+by)
	if permission != "" {
		accepted := strings.NewReplacer(":", "=", "|", "; ").Replace(permission)
		rep.header = http.Header{"X-Accepted-Github-Permissions": {accepted}}
	}
	return rep
}

func bearerOf(r *http.Request) string {
	kind, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(kind, "bearer") || strings.EqualFold(kind, "token") {
		return strings.TrimSpace(value)
	}
	return ""
}

// may says whether the token has a permission like "checks:read"; write includes read.
func (t *token) may(permission string) bool {
	for one := range strings.SplitSeq(permission, "|") {
		name, level, _ := strings.Cut(one, ":")
		granted := t.Permissions[name]
		if one == "" || name == "metadata" || granted == level || granted == "write" {
			return true
		}
	}
	return false
}

func (s *Server) mayReach(t *token, owner, name string) bool {
	repo := s.state.repository(owner, name)
	if repo == nil {
		return false
	}
	if t.Installation != 0 {
		app := s.app(strconv.FormatInt(t.AppID, 10))
		if app == nil || app.installation(repo) != t.Installation {
			return false
		}
	}
	if len(t.Repositories) == 0 {
		return true
	}
	for _, allowed := range t.Repositories {
		if strings.EqualFold(allowed, repo.fullName()) {
			return true
		}
	}
	return false
}

// timestamp is GitHub's form of a time, null for none.
func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// text is null for nothing.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}
