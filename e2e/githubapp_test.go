package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	githubapi "github.com/inhaul/inhaul/internal/github"
)

// TestAGitHubAppIsMadeByOneClick drives `inhaul github-app` from the page to the
// Secret, with an HTTP client for a browser, and writes a check run as the App.
func TestAGitHubAppIsMadeByOneClick(t *testing.T) {
	needLab(t)
	inhaul, web := filepath.Join(buildCommands(t), "inhaul"), os.Getenv("LAB_GITHUB_URL")
	namespace := fmt.Sprintf("github-app-%d", time.Now().UnixNano())
	kube(t, "create", "namespace", namespace)
	t.Cleanup(func() { kube(t, "delete", "namespace", namespace, "--wait=false") })
	kube(t, "-n", namespace, "create", "secret", "generic", "inhaul-agent", "--from-literal=receipt.pem=stays")

	args := []string{"github-app", "--no-browser", "--organization", "acme", "--github-url", web, "--github-api-url", web, "--namespace", namespace, "--timeout", "1m"}
	said := register(t, exec.CommandContext(t.Context(), inhaul, args...))
	if !strings.Contains(said, "/installations/new") || !strings.Contains(said, "rollout restart deployment/inhaul-agent") || strings.Contains(said, "PRIVATE KEY") {
		t.Errorf("got\n%s\nwant where to install it, how the agent takes it, and no key", said)
	}
	var secret struct{ Data map[string][]byte }
	if err := json.Unmarshal(kube(t, "-n", namespace, "get", "secret", "inhaul-agent", "-o", "json"), &secret); err != nil {
		t.Fatal(err)
	}
	if string(secret.Data["receipt.pem"]) != "stays" {
		t.Errorf("got the entries %v, want those that were there too", secret.Data)
	}
	id, err := strconv.ParseInt(string(secret.Data["github-app-id"]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	key, err := githubapi.ParsePrivateKey(secret.Data["github-app.pem"])
	if err != nil {
		t.Fatal(err)
	}
	app, err := githubapi.NewApp(githubapi.AppConfig{BaseURL: web, AppID: id, PrivateKey: key})
	if err != nil {
		t.Fatal(err)
	}
	repository := registerRepository(t, web)
	run := githubapi.CheckRun{
		Repository: repository, HeadSHA: strings.Repeat("c0ffee00", 5), Name: "inhaul / production", ExternalID: "sha256:1",
		Status: "completed", Conclusion: "success", Title: "Live", Summary: "By the new App",
	}
	if _, err := app.UpsertCheckRun(t.Context(), run); err != nil {
		t.Errorf("a check run by the new App: %v", err)
	}

	again, err := exec.CommandContext(t.Context(), inhaul, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(again), "the agent has a GitHub App already") {
		t.Errorf("a second time: got %v and\n%s", err, again)
	}
}

// register plays the person: it opens the page, presses the button, and presses
// GitHub's.
func register(t *testing.T, command *exec.Cmd) (said string) {
	t.Helper()
	out, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err, first)
	}
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(first)
	page := fetch(t, http.MethodGet, address, "")
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(page)
	value := regexp.MustCompile(`name="manifest" value="([^"]*)"`).FindStringSubmatch(page)
	if action == nil || value == nil {
		t.Fatalf("no form in %s", page)
	}
	done := fetch(t, http.MethodPost, html.UnescapeString(action[1]), url.Values{"manifest": {html.UnescapeString(value[1])}, "sure": {"yes"}}.Encode())
	if !strings.Contains(done, "The App is registered") {
		t.Errorf("got %s", done)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Fatalf("inhaul github-app: %v\n%s", err, rest)
	}
	return first + string(rest)
}

// fetch sends a form, or asks for a page, follows where it is sent, and returns what
// is there.
func fetch(t *testing.T, method, address, form string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// registerRepository makes a repository of acme's.
func registerRepository(t *testing.T, web string) string {
	t.Helper()
	name := fmt.Sprintf("acme/app-%d", time.Now().UnixNano())
	body := fmt.Sprintf(`{"repository": %q, "sha": %q}`, name, strings.Repeat("c0ffee00", 5))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web+"/_lab/runs", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Fatal(err, response)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// kube runs kubectl and returns what it printed.
func kube(t *testing.T, args ...string) []byte {
	t.Helper()
	program := os.Getenv("LAB_KUBECTL")
	if program == "" {
		program = "kubectl"
	}
	var complaint bytes.Buffer
	command := exec.Command(program, args...)
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out
}

// TestTheAgentFindsTheAppWhereInhaulPutsIt reads the manifests that the agent is
// installed from.
func TestTheAgentFindsTheAppWhereInhaulPutsIt(t *testing.T) {
	t.Parallel()
	for file, wants := range map[string][]string{
		"agent.yaml":  {"secretKeyRef: {name: inhaul-agent, key: github-app-id, optional: true}", "mountPath: /etc/inhaul/agent,", "secret: {secretName: inhaul-agent,"},
		"config.yaml": {"\n  INHAUL_GITHUB_APP_KEY_FILE: /etc/inhaul/agent/github-app.pem"},
	} {
		data, err := os.ReadFile(filepath.Join("../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(data), want) {
				t.Errorf("deploy/%s: want %q", file, want)
			}
		}
	}
}
