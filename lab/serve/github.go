package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"

	"github.com/inhaul/inhaul/lab/github"
	"github.com/inhaul/inhaul/lab/layout"
)

// gitHub returns the stand-in and what closes it. Without GitHub's API
// description, against which the stand-in checks every call, it answers 503.
func gitHub(lab *layout.Lab, logger *slog.Logger) (http.Handler, func() error, error) {
	description, err := os.ReadFile(lab.GitHubDescription())
	if errors.Is(err, fs.ErrNotExist) {
		absent := func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no GitHub here: lab up could not get the API description", http.StatusServiceUnavailable)
		}
		return http.HandlerFunc(absent), func() error { return nil }, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading GitHub's API description: %w", err)
	}
	server, err := github.New(github.Config{
		StateFile:  lab.Path("github", "state.json"),
		AppKeyFile: lab.AppKeyFile(),
		BaseURL:    "http://" + lab.GitHub(),
		Spec:       description,
		Logger:     logger,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("starting the GitHub stand-in: %w", err)
	}
	return server, server.Close, nil
}
