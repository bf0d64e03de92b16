package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// github makes the lab's GitHub answer every request whose path has PATH in it with
// that status, for good: github refuses PATH STATUS
func github(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[0] != "refuses" {
		ts.Fatalf("usage: github refuses PATH STATUS")
	}
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	data, err := json.Marshal(map[string]any{"path": args[1], "status": status, "count": -1})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, ts.Getenv("LAB_GITHUB_URL")+"/_lab/faults", bytes.NewReader(data))
	ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close() //nolint:errcheck // only read from
	if answer, _ := io.ReadAll(response.Body); response.StatusCode >= http.StatusMultipleChoices {
		ts.Fatalf("POST /_lab/faults: got %s %s", response.Status, answer)
	}
}
