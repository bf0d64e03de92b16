package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/inhaul/inhaul/internal/metrics"
)

// health answers the kubelet's probes and a Prometheus. It is alive, and not
// ready, until somebody says otherwise.
type health struct {
	metrics *metrics.Set
	ready   atomic.Bool // the caches are filled: a standby is ready too
}

func (h *health) serve(ctx context.Context, address string) error {
	if address == "-" {
		return nil
	}
	server := &http.Server{Handler: h.mux(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening for health probes: %w", err)
	}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() }) // probes are not worth a graceful end
	defer stopped()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("answering health probes: %w", err)
	}
	return nil
}

func (h *health) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if silent := h.metrics.Stalled(); silent > 0 {
			http.Error(w, "this agent leads, and its loop has been silent for "+silent.Round(time.Second).String(), http.StatusServiceUnavailable)
			return
		}
		answerOK(w)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !h.ready.Load() {
			http.Error(w, "caches are not filled yet", http.StatusServiceUnavailable)
			return
		}
		answerOK(w)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		if !h.ready.Load() { // ages are read from the caches
			http.Error(w, "caches are not filled yet", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", metrics.ContentType)
		_ = h.metrics.Write(w) // an error: who asked has gone
	})
	return mux
}

// answerOK is for the kubelet, which has gone if it cannot be written.
func answerOK(w http.ResponseWriter) { _, _ = w.Write([]byte("ok\n")) }
