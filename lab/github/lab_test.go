package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	product "github.com/inhaul/inhaul/internal/github"
)

const testSHA = "ce587453ced02b1526dfb4cb910479d431683101"

// writer is a run whose workflow lets its token write checks.
const writer = `{"sha":"` + testSHA + `","permissions":{"checks":"write","contents":"read","deployments":"write","pull_requests":"write","statuses":"write"}}`

var describe = sync.OnceValues(func() ([]byte, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	return Description(context.Background(), filepath.Join(cache, "inhaul-lab"))
})

// appKey is the same for all stands: making one takes long.
var appKey = sync.OnceValues(func() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	return encodeKey(key), err
})

// stand is a running stand-in whose address survives a restart.
type stand struct {
	*testing.T
	dir    string
	url    string
	http   *httptest.Server
	mu     sync.Mutex
	server *Server
}

func start(t *testing.T) *stand {
	t.Helper()
	if _, err := describe(); err != nil {
		message := "NOTHING WAS TESTED: GitHub's API description cannot be had: " + err.Error()
		if os.Getenv("LAB_NO_SKIP") == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	st := &stand{T: t, dir: t.TempDir()}
	st.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st.mu.Lock()
		server := st.server
		st.mu.Unlock()
		server.ServeHTTP(w, r)
	}))
	st.url = st.http.URL
	if key, err := appKey(); err != nil || writeAtomically(filepath.Join(st.dir, "app.pem"), key) != nil {
		t.Fatal("the App's key cannot be written")
	}
	st.restart()
	t.Cleanup(func() {
		st.http.Close()
		if err := st.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func (st *stand) restart() {
	st.Helper()
	spec, err := describe()
	if err != nil {
		st.Fatal(err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.server != nil {
		if err := st.server.Close(); err != nil {
			st.Fatal(err)
		}
	}
	st.server, err = New(Config{
		StateFile: filepath.Join(st.dir, "state.json"), AppKeyFile: filepath.Join(st.dir, "app.pem"), BaseURL: st.url, Spec: spec,
	})
	if err != nil {
		st.Fatal(err)
	}
}

// ask sends a request and returns status, header and body.
func (st *stand) ask(method, path, bearer, body string) (int, http.Header, []byte) {
	st.Helper()
	req, err := http.NewRequestWithContext(st.Context(), method, st.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		st.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		st.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		st.Fatal(err)
	}
	return resp.StatusCode, resp.Header, answer
}

// lab posts to one of the lab's own endpoints, which must succeed.
func (st *stand) lab(method, path, body string, into any) {
	st.Helper()
	status, _, answer := st.ask(method, path, "", body)
	if status >= 300 {
		st.Fatalf("%s %s: got %d %s", method, path, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			st.Fatal(err)
		}
	}
}

// run registers a workflow run and returns its environment.
func (st *stand) run(body string) map[string]string {
	st.Helper()
	var answer struct{ Env map[string]string }
	st.lab("POST", "/_lab/runs", body, &answer)
	return answer.Env
}

// token makes a personal access token.
func (st *stand) token(body string) string {
	st.Helper()
	var answer struct{ Token string }
	st.lab("POST", "/_lab/tokens", body, &answer)
	return answer.Token
}

func (st *stand) noViolations() {
	st.Helper()
	var list []Violation
	st.lab("GET", "/_lab/violations", "", &list)
	for _, v := range list {
		st.Errorf("contract violated by the %s of %s %s: %s", v.Side, v.Method, v.Path, v.Reason)
	}
}

// requests counts what the API got.
func (st *stand) requests(method string) (n int) {
	st.Helper()
	var list []loggedRequest
	st.lab("GET", "/_lab/requests", "", &list)
	for _, r := range list {
		if r.Method == method {
			n++
		}
	}
	return n
}

func quick() product.Pace {
	return product.Pace{WriteSpacing: -1, RetryWait: time.Millisecond}
}

func (st *stand) app() *product.Client {
	st.Helper()
	text, err := os.ReadFile(filepath.Join(st.dir, "app.pem"))
	if err != nil {
		st.Fatal(err)
	}
	key, err := product.ParsePrivateKey(text)
	if err != nil {
		st.Fatal(err)
	}
	c, err := product.NewApp(product.AppConfig{BaseURL: st.url, AppID: AppID, PrivateKey: key, Pace: quick()})
	if err != nil {
		st.Fatal(err)
	}
	return c
}

func running() product.CheckRun {
	return product.CheckRun{
		Repository: "acme/storefront", HeadSHA: testSHA, Name: "inhaul / production", ExternalID: "sha256:aa", Status: "in_progress",
		Title: "Rolling out", Summary: "2 of 3 pods are ready", StartedAt: time.Now(),
	}
}

func completed() product.CheckRun {
	run := running()
	run.Status, run.Conclusion, run.CompletedAt = "completed", "failure", time.Now()
	run.Title, run.Summary = "The image cannot be pulled", "### What happened\n**web** could not start: `ErrImagePull`\n\n- <script>alert(1)</script>"
	run.Text = "```\nno such tag\n```"
	return run
}

func object(pairs ...any) string {
	body := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		body[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// labAs gets a path of the API with a token.
func (st *stand) labAs(bearer, path string, into any) {
	st.Helper()
	status, _, answer := st.ask("GET", path, bearer, "")
	if status != http.StatusOK {
		st.Fatalf("GET %s: got %d %s", path, status, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		st.Fatal(err)
	}
}
