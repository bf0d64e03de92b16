package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestTheSlimDescriptionIsWhole(t *testing.T) {
	t.Parallel()
	st := start(t)
	if err := st.server.contract.doc.Validate(t.Context(), openapi3.DisableExamplesValidation()); err != nil {
		t.Error(err)
	}
	for name := range operations() {
		method, path, _ := strings.Cut(name, " ")
		if item := st.server.contract.doc.Paths.Value(path); item == nil || item.GetOperation(method) == nil {
			t.Errorf("the stand-in serves %s, which GitHub does not describe", name)
		}
	}
}

func repeated(n int, item map[string]any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = item
	}
	return list
}

// signedAs is a JWT of the App with changed claims.
func (st *stand) signedAs(change func(map[string]any)) string {
	st.Helper()
	claims := map[string]any{"iss": "4242", "iat": time.Now().Unix() - 60, "exp": time.Now().Unix() + 540}
	change(claims)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: st.server.appKey}, nil)
	if err != nil {
		st.Fatal(err)
	}
	signed, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		st.Fatal(err)
	}
	return signed
}

func TestRequestsThatBreakTheContractAreRefusedAndListed(t *testing.T) {
	t.Parallel()
	st := start(t)
	workflow := st.run(writer)["GITHUB_TOKEN"]
	app := st.signedAs(func(map[string]any) {})
	installation := st.server.state.repository("acme", "storefront").Installation
	st.run(`{"pullRequest":7}`)
	deployment := st.deployed()
	const runs, statuses = "/repos/acme/storefront/check-runs", "/repos/acme/storefront/statuses/" + testSHA
	const deployments, comments = "/repos/acme/storefront/deployments", "/repos/acme/storefront/issues/7/comments"
	deploymentStatuses := fmt.Sprintf("%s/%d/statuses", deployments, deployment)
	tokens := strings.Replace("/app/installations/N/access_tokens", "N", string(must(json.Marshal(installation))), 1)
	output := func(more ...any) map[string]any {
		out := map[string]any{"title": "t", "summary": "s"}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	annotation := map[string]any{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
	action := map[string]any{"label": "l", "description": "d", "identifier": "i"}

	for _, row := range []struct {
		name, bearer, path, body string
		want                     int
	}{
		{"a check run", workflow, runs, object("name", "a", "head_sha", testSHA), 201},
		{"a summary of 65535", workflow, runs, object("name", "a", "head_sha", testSHA, "output", output("summary", strings.Repeat("x", 65535))), 201},
		{"50 annotations", workflow, runs, object("name", "a", "head_sha", testSHA, "output", output("annotations", repeated(50, annotation))), 201},
		{"a status", workflow, statuses, object("state", "success", "context", "inhaul", "description", "ok", "target_url", "https://example.com"), 201},
		{"a deployment", workflow, deployments, object("ref", testSHA, "auto_merge", false, "required_contexts", []any{}), 201},
		{"a deployment's status", workflow, deploymentStatuses, object("state", "queued", "auto_inactive", false), 201},
		{"a comment", workflow, comments, object("body", "hello"), 201},
		{"an installation token", app, tokens, object("permissions", map[string]any{"checks": "write"}), 201},
		{"an installation token for one repository", app, tokens, object("repositories", []any{"storefront"}), 201},

		{"no head_sha", workflow, runs, object("name", "a"), 422},
		{"conclusion failed", workflow, runs, object("name", "a", "head_sha", testSHA, "status", "completed", "conclusion", "failed"), 422},
		{"output without summary", workflow, runs, object("name", "a", "head_sha", testSHA, "output", map[string]any{"title": "t"}), 422},
		{"a summary of 65536", workflow, runs, object("name", "a", "head_sha", testSHA, "output", output("summary", strings.Repeat("x", 65536))), 422},
		{"51 annotations", workflow, runs, object("name", "a", "head_sha", testSHA, "output", output("annotations", repeated(51, annotation))), 422},
		{"4 actions", workflow, runs, object("name", "a", "head_sha", testSHA, "actions", repeated(4, action)), 422},
		{"status state done", workflow, statuses, object("state", "done"), 422},
		{"a deployment without ref", workflow, deployments, object("auto_merge", false, "required_contexts", []any{}), 422},
		{"deployment status running", workflow, deploymentStatuses, object("state", "running"), 422},
		{"a comment without body", workflow, comments, "{}", 422},
		{"permission checks: admin", app, tokens, object("permissions", map[string]any{"checks": "admin"}), 422},
		{"completed without conclusion", workflow, runs, object("name", "a", "head_sha", testSHA, "status", "completed"), 422},
		{"completed_at without conclusion", workflow, runs, object("name", "a", "head_sha", testSHA, "completed_at", "2026-11-22T10:00:00Z"), 422},
		{"unknown permission key", app, tokens, object("permissions", map[string]any{"chex": "write"}), 422},
		{"a path that GitHub does not have", workflow, "/repos/acme/storefront/check-run", "{}", 404},
	} {
		st.lab("DELETE", "/_lab/violations", "", nil)
		status, _, answer := st.ask("POST", row.path, row.bearer, row.body)
		if status != row.want {
			t.Errorf("%s: got %d %.300s, want %d", row.name, status, answer, row.want)
		}
		var list []Violation
		st.lab("GET", "/_lab/violations", "", &list)
		if (len(list) == 1) != (row.want >= 400) {
			t.Errorf("%s: got violations %v", row.name, list)
		}
	}
}

// deployed makes a deployment.
func (st *stand) deployed() int64 {
	st.Helper()
	id, err := st.app().UpsertDeployment(st.Context(), deploying("success"))
	if err != nil {
		st.Fatal(err)
	}
	return id
}

// TestWhatGitHubRefusesAndItsDescriptionAllows is about rules that break no contract.
func TestWhatGitHubRefusesAndItsDescriptionAllows(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	st.run(`{"sha":"` + pullHead + `"}`) // main goes on
	const all = `"permissions":{"checks":"write","deployments":"write","pull_requests":"write","statuses":"write"}`
	workflow := st.run(`{"sha":"` + testSHA + `","ref":"refs/heads/old",` + all + `}`)["GITHUB_TOKEN"]
	reader := st.run(`{"sha":"` + testSHA + `","ref":"refs/heads/old"}`)["GITHUB_TOKEN"]
	mona := st.token(`{"login":"mona","repositories":["acme/storefront"],"permissions":{"deployments":"read"}}`)
	const repo = "/repos/acme/storefront"
	deployments := repo + "/deployments"
	deploymentStatuses := fmt.Sprintf("%s/%d/statuses", deployments, st.deployed())
	comments := repo + "/issues/7/comments"
	if err := st.app().UpsertStatus(t.Context(), stating("failure")); err != nil {
		t.Fatal(err)
	}
	comment, err := st.app().UpsertComment(t.Context(), commenting("one"))
	if err != nil {
		t.Fatal(err)
	}
	none := []any{}
	for _, row := range []struct {
		name, method, path, bearer, body string
		want                             int
	}{
		{"a deployment that merges nothing and waits for nothing", "POST", deployments, workflow, object("ref", testSHA, "auto_merge", false, "required_contexts", none), 201},
		{"one that would merge main", "POST", deployments, workflow, object("ref", testSHA, "required_contexts", none), 409},
		{"one that waits for all statuses, of which one failed", "POST", deployments, workflow, object("ref", testSHA, "auto_merge", false), 409},
		{"one that waits for a status that failed", "POST", deployments, workflow, object("ref", testSHA, "auto_merge", false, "required_contexts", []any{"Inhaul / Production"}), 409},
		{"one of a commit without any", "POST", deployments, workflow, object("ref", strings.Repeat("a", 40), "auto_merge", false), 201},
		{"one of a branch that is not there", "POST", deployments, workflow, object("ref", "nowhere", "auto_merge", false, "required_contexts", none), 422},
		{"a description of 140 characters", "POST", deploymentStatuses, workflow, object("state", "success", "description", strings.Repeat("ü", 140)), 201},
		{"one of 141", "POST", deploymentStatuses, workflow, object("state", "success", "description", strings.Repeat("ü", 141)), 422},
		{"a status of a deployment that is not there", "POST", deployments + "/1/statuses", workflow, object("state", "success"), 404},
		{"a comment of 65536 characters", "POST", comments, workflow, object("body", strings.Repeat("ü", 65536)), 201},
		{"one of 65537", "POST", comments, workflow, object("body", strings.Repeat("ü", 65537)), 422},
		{"one without words", "POST", comments, workflow, object("body", " \n"), 422},
		{"one on a pull request that is not there", "POST", repo + "/issues/8/comments", workflow, object("body", "x"), 404},
		{"a change of another App's comment", "PATCH", fmt.Sprintf("%s/issues/comments/%d", repo, comment), workflow, object("body", "x"), 403},
		{"a deployment with a token that may not", "POST", deployments, reader, object("ref", testSHA, "auto_merge", false, "required_contexts", none), 403},
		{"a deployment with a token that may only read", "POST", deployments, mona, object("ref", testSHA, "auto_merge", false, "required_contexts", none), 403},
		{"its deployments", "GET", deployments, mona, "", 200},
		{"a comment with a token that may not", "POST", comments, reader, object("body", "x"), 403},
		{"a status with a token that may not", "POST", repo + "/statuses/" + testSHA, reader, object("state", "success"), 403},
		{"pull requests with a token that may not", "GET", repo + "/pulls", reader, "", 403},
		{"who a workflow is", "GET", "/user", workflow, "", 403},
		{"who mona is", "GET", "/user", mona, "", 200},
		{"a code that was never given", "POST", "/app-manifests/nope/conversions", "", "", 404},
	} {
		if status, header, answer := st.ask(row.method, row.path, row.bearer, row.body); status != row.want {
			t.Errorf("%s: got %d %.300s, want %d", row.name, status, answer, row.want)
		} else if status == http.StatusForbidden && strings.HasPrefix(row.path, deployments) && header.Get("X-Accepted-Github-Permissions") != "deployments=write" {
			t.Errorf("%s: got header %v, want the permission that is missing", row.name, header)
		}
	}
	st.noViolations()
}

func TestADeploymentMakesEarlierOnesInactiveUnlessItIsToldNotTo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		environment string
		more        string
		want        string // state of the first afterwards
	}{
		"by GitHub's default":              {"staging", ``, "inactive"},
		"told not to":                      {"staging", `,"auto_inactive":false`, "success"},
		"of production, which GitHub asks": {"production", ``, "success"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := pulled(t)
			token := st.token(`{"login":"mona","permissions":{"deployments":"write"}}`)
			for range 2 {
				_, _, answer := st.ask("POST", "/repos/acme/storefront/deployments", token,
					object("ref", testSHA, "auto_merge", false, "required_contexts", []any{}, "environment", row.environment))
				var made struct{ ID int64 }
				if err := json.Unmarshal(answer, &made); err != nil {
					t.Fatal(err)
				}
				st.ask("POST", fmt.Sprintf("/repos/acme/storefront/deployments/%d/statuses", made.ID), token, `{"state":"success"`+row.more+`}`)
			}
			if got := st.server.state.Deployments[0].state(); got != row.want {
				t.Errorf("got the first one %s, want %s", got, row.want)
			}
			st.noViolations()
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestResponsesThatBreakTheContractAreFound(t *testing.T) {
	t.Parallel()
	st := start(t)
	env := st.run(writer)
	status, header, body := st.ask("POST", "/repos/acme/storefront/check-runs", env["GITHUB_TOKEN"], object("name", "a", "head_sha", testSHA))
	if status != 201 {
		t.Fatalf("got %d %s", status, body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", st.url+"/repos/acme/storefront/check-runs", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	route, params, err := st.server.contract.router.FindRoute(req)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{input: &openapi3filter.RequestValidationInput{
		Request: req, Route: route, PathParams: params, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}}
	if err := st.server.contract.response(t.Context(), x, 201, header, body); err != nil {
		t.Errorf("a good response: got %v", err)
	}
	var broken map[string]any
	if err := json.Unmarshal(body, &broken); err != nil {
		t.Fatal(err)
	}
	broken["conclusion"] = "exploded"
	delete(broken, "id")
	for name, row := range map[string]struct {
		status int
		body   []byte
	}{
		"conclusion exploded and no id": {201, must(json.Marshal(broken))},
		"a status that is not there":    {202, body},
		"an error without JSON":         {404, []byte("nope")},
		"an error of another shape":     {422, []byte(`{"error":"x"}`)},
		"304 with a body":               {304, body},
	} {
		if err := st.server.contract.response(t.Context(), x, row.status, header, row.body); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestWhoIsRefused(t *testing.T) {
	t.Parallel()
	st := start(t)
	env := st.run(writer)
	reader := st.run(`{}`)["GITHUB_TOKEN"] // what the example workflow asks for
	blind := st.run(`{"permissions":{"contents":"read"}}`)["GITHUB_TOKEN"]
	other := st.run(`{"repository":"other/app"}`)["GITHUB_TOKEN"]
	now := time.Now().Unix()
	const install, runs = "/repos/acme/storefront/installation", "/repos/acme/storefront/check-runs"
	check := object("name", "a", "head_sha", testSHA)
	for _, row := range []struct {
		name, method, path, bearer, body string
		want                             int
	}{
		{"the App", "GET", install, st.signedAs(func(map[string]any) {}), "", 200},
		{"the App with its id as a number", "GET", install, st.signedAs(func(c map[string]any) { c["iss"] = AppID }), "", 200},
		{"another App", "GET", install, st.signedAs(func(c map[string]any) { c["iss"] = "1" }), "", 401},
		{"an expired JWT", "GET", install, st.signedAs(func(c map[string]any) { c["exp"] = now - 1 }), "", 401},
		{"a JWT that lasts too long", "GET", install, st.signedAs(func(c map[string]any) { c["exp"] = now + 700 }), "", 401},
		{"a JWT from the future", "GET", install, st.signedAs(func(c map[string]any) { c["iat"] = now + 60 }), "", 401},
		{"a token where a JWT is wanted", "GET", install, env["GITHUB_TOKEN"], "", 401},
		{"a JWT where a token is wanted", "POST", runs, st.signedAs(func(map[string]any) {}), check, 401},
		{"nobody", "POST", runs, "", check, 401},
		{"an unknown token", "POST", runs, "ghs_" + strings.Repeat("x", 36), check, 401},
		{"a token without permission", "POST", runs, reader, check, 403},
		{"a token that reads checks", "GET", "/repos/acme/storefront/commits/main/check-runs", reader, "", 200},
		{"a token that may not read checks", "GET", "/repos/acme/storefront/commits/main/check-runs", blind, "", 403},
		{"a token of another repository", "POST", runs, other, check, 404},
		{"a repository that is not there", "GET", "/repos/acme/none", env["GITHUB_TOKEN"], "", 404},
		{"a commit that cannot be", "POST", runs, env["GITHUB_TOKEN"], object("name", "a", "head_sha", "main"), 422},
		{"a repository", "GET", "/repos/acme/storefront", env["GITHUB_TOKEN"], "", 200},
		{"a branch", "GET", "/repos/acme/storefront/commits/main/check-runs", env["GITHUB_TOKEN"], "", 200},
	} {
		if status, _, answer := st.ask(row.method, row.path, row.bearer, row.body); status != row.want {
			t.Errorf("%s: got %d %.300s, want %d", row.name, status, answer, row.want)
		}
	}
	st.noViolations()
}
