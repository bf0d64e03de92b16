package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Workflow is a run of a workflow with one step.
type Workflow struct {
	Repository   string // owner/name
	Dir          string // the checkout; its HEAD is the commit
	Ref          string // refs/heads/main unless said; a re-run has its own
	Event        string // push unless said; a re-run has its own
	RunID        int64  // of a run to re-run; 0 starts a new one
	NoIDToken    bool   // the workflow lacks the permission id-token: write
	NoChecks     bool   // the workflow lacks the permission checks: read
	MayReport    bool   // the workflow has the permissions checks: write and pull-requests: write
	PullRequest  int    // of the event pull_request
	Action       string // what happened to it, or to a release
	Labels       []string
	Fork         bool // the pull request comes from one
	Merged       bool // the pull request was
	Env          map[string]string
	Inputs       map[string]string
	Command      []string // the step; the Action unless said
	RepositoryID int64
}

// Result is how a run ended.
type Result struct {
	RunID    int64
	Attempt  int64
	Commit   string
	Head     string // of a pull request, whose Commit is a merge
	ExitCode int
	Log      string
	Summary  string
	Outputs  map[string]string
	Began    time.Time
	Ended    time.Time
}

// registered is what GitHub gives a run.
type registered struct {
	Env        map[string]string `json:"env"`
	Event      json.RawMessage   `json:"event"`
	RunID      int64             `json:"runID"`
	RunAttempt int64             `json:"runAttempt"`
	RunNumber  int64             `json:"runNumber"`
}

func (s *Stage) register(ctx context.Context, w Workflow, commit string) (registered, error) {
	var run registered
	body := map[string]any{
		"repository": w.Repository, "sha": commit, "event": w.Event, "ref": w.Ref, "workflow": ".github/workflows/deploy.yml",
		"permissions": w.permissions(),
	}
	if w.RunID != 0 {
		body["runID"] = w.RunID
	}
	if w.RepositoryID != 0 {
		body["repositoryID"] = w.RepositoryID
	}
	if w.PullRequest != 0 {
		body["pullRequest"], body["fork"], body["merged"] = w.PullRequest, w.Fork, w.Merged
	}
	switch {
	case w.Action == "unlabeled" && len(w.Labels) > 0:
		body["label"], body["labels"] = w.Labels[len(w.Labels)-1], []string{}
	case len(w.Labels) > 0:
		body["labels"] = w.Labels
	}
	if w.Action != "" {
		body["action"] = w.Action
	}
	if w.NoIDToken {
		body["idTokenPermission"] = false
	}
	if w.Event == "workflow_dispatch" {
		body["workflow"] = ".github/workflows/look.yml" // its run numbers are its own
	}
	err := s.github(ctx, http.MethodPost, "/_lab/runs", "", body, &run)
	return run, err
}

// permissions are those of the job's token, as the example workflow asks for
// them.
func (w Workflow) permissions() map[string]string {
	permissions := map[string]string{"contents": "read"}
	if !w.NoChecks {
		permissions["checks"] = "read"
	}
	if w.MayReport {
		permissions["checks"], permissions["pull_requests"] = "write", "write"
	}
	return permissions
}

// Run runs a workflow. A step that fails is no error: its exit code tells.
func (s *Stage) Run(ctx context.Context, w Workflow) (Result, error) {
	commit, err := git(ctx, w.Dir, "rev-parse", "HEAD")
	if err != nil {
		return Result{}, err
	}
	run, err := s.register(ctx, w, commit)
	if err != nil {
		return Result{}, err
	}
	result := Result{RunID: run.RunID, Attempt: run.RunAttempt, Commit: commit}
	scratch, err := os.MkdirTemp("", "inhaul-runner-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(scratch)
	files := map[string]string{}
	for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"} {
		files[name] = filepath.Join(scratch, name)
		if err := os.WriteFile(files[name], nil, 0o600); err != nil {
			return result, err
		}
	}
	event, err := s.event(run)
	if err != nil {
		return result, err
	}
	result.Head = headOf(event)
	files["GITHUB_EVENT_PATH"] = filepath.Join(scratch, "event.json")
	if err := os.WriteFile(files["GITHUB_EVENT_PATH"], event, 0o600); err != nil {
		return result, err
	}
	files["GITHUB_WORKSPACE"], files["RUNNER_TEMP"] = w.Dir, scratch
	if err := s.step(ctx, w, run, files, &result); err != nil {
		return result, err
	}
	return result, result.read(files)
}

// headOf is the head commit that a payload names, if it is of a pull request.
func headOf(event []byte) string {
	var payload struct {
		PullRequest struct {
			Head struct {
				SHA string `json:"sha"`
			} `json:"head"`
		} `json:"pull_request"`
	}
	_ = json.Unmarshal(event, &payload) // other events have none
	return payload.PullRequest.Head.SHA
}

// event is the payload of the run's event; a re-run has that of its first
// attempt.
func (s *Stage) event(run registered) ([]byte, error) {
	kept := s.Lab.Path("stage", "events", fmt.Sprint(run.RunID))
	if data, err := os.ReadFile(kept); err == nil {
		return data, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return nil, err
	}
	return run.Event, os.WriteFile(kept, run.Event, 0o600)
}

func (s *Stage) step(ctx context.Context, w Workflow, run registered, files map[string]string, result *Result) error {
	argv := w.Command
	if len(argv) == 0 {
		argv = []string{s.Bin("inhaul-action")}
	}
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir, command.Env = w.Dir, s.Environ()
	set := func(values map[string]string) {
		for name, value := range values {
			command.Env = append(command.Env, name+"="+value)
		}
	}
	set(run.Env)
	set(files)
	set(w.Env)
	for name, value := range s.inputs(w, run) {
		command.Env = append(command.Env, "INPUT_"+strings.ToUpper(name)+"="+value)
	}
	var log bytes.Buffer
	shown := &masking{out: s.Out}
	defer shown.flush()
	command.Stdout = io.MultiWriter(&log, shown)
	command.Stderr = command.Stdout
	result.Began = s.Now()
	err := command.Run()
	result.Ended = s.Now()
	result.Log = log.String()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		result.ExitCode = exit.ExitCode()
		return nil
	}
	return err
}

// inputs are those of the workflow over the defaults of a team in this lab.
func (s *Stage) inputs(w Workflow, run registered) map[string]string {
	inputs := map[string]string{
		"config": "inhaul.yaml", "image-repository": s.Lab.Registry() + "/" + w.Repository,
		"token": run.Env["GITHUB_TOKEN"], "wait": "true", "timeout": "4m", "builder": "auto", "cache": "true",
	}
	maps.Copy(inputs, w.Inputs)
	return inputs
}

// read takes in what the step left in the runner's files.
func (r *Result) read(files map[string]string) error {
	summary, err := os.ReadFile(files["GITHUB_STEP_SUMMARY"])
	if err != nil {
		return err
	}
	r.Summary = string(summary)
	output, err := os.ReadFile(files["GITHUB_OUTPUT"])
	if err != nil {
		return err
	}
	r.Outputs = map[string]string{}
	lines := strings.Split(string(output), "\n")
	for i := 0; i < len(lines); i++ {
		if name, end, ok := strings.Cut(lines[i], "<<"); ok {
			var value []string
			for i++; i < len(lines) && lines[i] != end; i++ {
				value = append(value, lines[i])
			}
			r.Outputs[name] = strings.Join(value, "\n")
		} else if name, value, ok := strings.Cut(lines[i], "="); ok {
			r.Outputs[name] = value
		}
	}
	return nil
}

// Commit records everything in dir, a repository that is made if it is none,
// and returns the commit.
func Commit(ctx context.Context, dir, message string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		if _, err := git(ctx, dir, "init", "-q", "-b", "main"); err != nil {
			return "", err
		}
	}
	if _, err := git(ctx, dir, "add", "-A"); err != nil {
		return "", err
	}
	if _, err := git(ctx, dir, "commit", "-q", "--allow-empty", "-m", message); err != nil {
		return "", err
	}
	return git(ctx, dir, "rev-parse", "HEAD")
}

// Checkout puts dir at a commit.
func Checkout(ctx context.Context, dir, commit string) error {
	_, err := git(ctx, dir, "checkout", "-q", commit)
	return err
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	identity := []string{"-c", "user.name=Octo Cat", "-c", "user.email=octocat@example.com", "-c", "commit.gpgsign=false", "-c", "core.hooksPath="}
	command := exec.CommandContext(ctx, "git", append(identity, args...)...)
	command.Dir = dir
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// Head is the commit that dir is at.
func Head(ctx context.Context, dir string) (string, error) { return git(ctx, dir, "rev-parse", "HEAD") }

// masking writes a step's log as a runner shows it: what the step asked to mask
// is not shown.
type masking struct {
	out     io.Writer
	line    []byte
	secrets []string
}

func (m *masking) Write(p []byte) (int, error) {
	m.line = append(m.line, p...)
	for {
		end := bytes.IndexByte(m.line, '\n')
		if end < 0 {
			return len(p), nil
		}
		m.show(string(m.line[:end+1]))
		m.line = m.line[end+1:]
	}
}

func (m *masking) show(line string) {
	if secret, ok := strings.CutPrefix(line, "::add-mask::"); ok {
		m.secrets = append(m.secrets, strings.TrimSpace(secret))
		return
	}
	for _, secret := range m.secrets {
		if secret != "" {
			line = strings.ReplaceAll(line, secret, "***")
		}
	}
	_, _ = io.WriteString(m.out, line)
}

func (m *masking) flush() {
	if len(m.line) > 0 {
		m.show(string(m.line))
	}
}
