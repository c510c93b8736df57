package admin

import (
	"net/http"
	"net/http/pprof"
)

// profiles serves Go's profiles to whoever holds the token: `go tool pprof` reads them. They show code, never data.
func (s *Server) profiles(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"GET /debug/pprof/":        pprof.Index, // also heap, goroutine, mutex and the like by name
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if !s.allowed(r) {
				refuseStranger(w)
				return
			}
			h(w, r)
		})
	}
}

func refuseStranger(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="flotilla"`)
	writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "this needs the token of the node, which is in admin.token in its folder: --token, $FLOTILLA_TOKEN, or 'Authorization: Bearer'"})
}
