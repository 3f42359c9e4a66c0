"""Health and metrics of a service."""

from tests.support.serving import Running


def test_health_and_metrics(service: Running) -> None:
    assert service.get("/healthz") == service.get("/readyz") == {"status": "ok"}
    service.get("/v1/people/Nobody", 404)
    text = service.http.get("/metrics").text
    line = 'facesearch_requests_total{method="GET",route="/v1/people/{name:path}",status="404"}'
    assert line in text
    assert "Nobody" not in text
    for number in range(3):
        service.http.request(f"ODD{number}", "/healthz")
    text = service.http.get("/metrics").text
    assert 'method="other"' in text
    assert "ODD" not in text
