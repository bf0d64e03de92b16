package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/inhaul/inhaul/internal/oci"
)

// adminTimeout bounds a word to the lab's registry, which answers at once.
const adminTimeout = 10 * time.Second

// published fails unless the repository has a tag; ! published fails if it has
// one: published REPOSITORY
func published(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] published REPOSITORY")
	}
	ts.Check(os.Setenv("DOCKER_CONFIG", ts.Getenv("DOCKER_CONFIG")))
	tags, err := oci.New(oci.WithUserAgent("inhaul-e2e"), oci.WithTransport(transport(ts))).
		List(context.Background(), ts.Getenv("LAB_REGISTRY")+"/"+args[0])
	ts.Check(err)
	if (len(tags) == 0) != neg {
		ts.Fatalf("the registry has the tags %q in %s", tags, args[0])
	}
}

// registry changes the lab's registry:
//
//	registry without REPOSITORY           it does not exist, as ECR's do before somebody creates them
//	registry with REPOSITORY              it is created
//	registry refuses METHOD PATH STATUS   such requests are answered with that status
func registry(ts *testscript.TestScript, neg bool, args []string) {
	word := strings.Join(args[:min(len(args), 1)], "")
	switch {
	case neg:
		ts.Fatalf("registry cannot fail")
	case word == "without" && len(args) == 2:
		admin(ts, http.MethodDelete, "repositories", map[string]any{"name": args[1]})
	case word == "with" && len(args) == 2:
		admin(ts, http.MethodPost, "repositories", map[string]any{"name": args[1]})
	case word == "refuses" && len(args) == 4:
		status, err := strconv.Atoi(args[3])
		ts.Check(err)
		admin(ts, http.MethodPost, "faults", map[string]any{"method": args[1], "path": args[2], "status": status})
	default:
		ts.Fatalf("usage: registry without|with REPOSITORY, registry refuses METHOD PATH STATUS")
	}
}

// admin says something to the lab's registry.
func admin(ts *testscript.TestScript, method, what string, body any) {
	ts.Check(adminRequest(transport(ts), method, "https://"+ts.Getenv("LAB_REGISTRY")+"/_lab/"+what, body))
}

func adminRequest(transport http.RoundTripper, method, address string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(data))
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: got %s %s", method, address, response.Status, answer)
	}
	return nil
}

// condition says what a story may count on here. Where nothing may be skipped,
// what is missing is an error.
func condition(name string) (bool, error) {
	switch name {
	case "builder":
		return os.Getenv("LAB_BUILDER") != "", nil
	case "standby":
		if !standby() && os.Getenv("INHAUL_NO_SKIP") != "" {
			return false, errors.New("one agent runs, and nothing may be skipped here")
		}
		return standby(), nil
	case "buildah":
		_, err := exec.LookPath("buildah")
		if err != nil && os.Getenv("INHAUL_NO_SKIP") != "" {
			return false, errors.New("buildah is not installed, and nothing may be skipped here")
		}
		return err == nil, nil
	}
	return false, errors.New("unknown condition")
}
