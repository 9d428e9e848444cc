"""The original's templates, one a line, and its regions, in its order.

id, name, processors, GB of memory, GB of disk, TB a month, USD an hour and a month, GPU, regions, features.
"""

from typing import Any, Dict, List

ROWS = """
hive-small | Small Bare Metal | 4 | 16 | 500 | 10 | 0.12 | 85 |  | atlanta tampa los-angeles | dedicated bare-metal ipmi
hive-medium | Medium Bare Metal | 8 | 32 | 1000 | 20 | 0.25 | 180 |  | atlanta tampa los-angeles new-york | dedicated bare-metal ipmi raid
hive-large | Large Bare Metal | 16 | 64 | 2000 | 30 | 0.50 | 360 |  | atlanta tampa los-angeles new-york | dedicated bare-metal ipmi raid redundant-power
hive-gpu | GPU Bare Metal | 12 | 96 | 1500 | 20 | 0.80 | 575 | NVIDIA RTX 4090 | atlanta los-angeles | dedicated bare-metal gpu ipmi
do-basic-1 | Basic (1 vCPU) | 1 | 1 | 25 | 1 | 0.007 | 5 |  | nyc1 nyc3 sfo3 lon1 fra1 | ssd cloud
do-basic-2 | Basic (2 vCPU) | 2 | 2 | 50 | 2 | 0.015 | 12 |  | nyc1 nyc3 sfo3 lon1 fra1 sgp1 | ssd cloud
do-standard-4 | Standard (4 vCPU) | 4 | 8 | 160 | 5 | 0.071 | 48 |  | nyc1 nyc3 sfo3 lon1 fra1 sgp1 tor1 | ssd cloud monitoring
do-cpu-8 | CPU Optimized (8 vCPU) | 8 | 16 | 200 | 6 | 0.238 | 160 |  | nyc1 sfo3 lon1 fra1 | ssd cloud cpu-optimized
vultr-vc2-1 | VC2 1 vCPU | 1 | 1 | 25 | 1 | 0.004 | 2.5 |  | ewr ord dfw sea lax | ssd cloud
vultr-vc2-2 | VC2 2 vCPU | 2 | 4 | 80 | 3 | 0.018 | 12 |  | ewr ord dfw sea lax ams | ssd cloud
vultr-hf-4 | High Frequency 4 vCPU | 4 | 8 | 128 | 4 | 0.060 | 42 |  | ewr ord lax ams sgp | nvme cloud high-performance
vultr-bare-4 | Bare Metal 4 Core | 4 | 32 | 240 | 5 | 0.34 | 240 |  | ewr dfw | bare-metal nvme dedicated
aws-t3-micro | t3.micro | 2 | 1 | 30 | 0.1 | 0.0104 | 7.5 |  | us-east-1 us-west-2 eu-west-1 | burstable cloud
aws-t3-medium | t3.medium | 2 | 4 | 50 | 0.5 | 0.0416 | 30 |  | us-east-1 us-west-2 eu-west-1 ap-southeast-1 | burstable cloud
aws-m5-large | m5.large | 2 | 8 | 100 | 1 | 0.096 | 70 |  | us-east-1 us-west-2 eu-west-1 ap-southeast-1 | cloud general-purpose
aws-c5-2xlarge | c5.2xlarge | 8 | 16 | 200 | 2 | 0.34 | 248 |  | us-east-1 us-west-2 eu-west-1 | cloud compute-optimized
equinix-c3-small | c3.small.x86 | 8 | 32 | 240 | 20 | 0.50 | 350 |  | da sv ny am | bare-metal nvme
equinix-c3-medium | c3.medium.x86 | 24 | 64 | 960 | 20 | 1.00 | 700 |  | da sv ny am sg | bare-metal nvme high-memory
equinix-g2-large | g2.large.x86 (GPU) | 24 | 128 | 1920 | 20 | 3.00 | 2100 | NVIDIA Tesla V100 | da sv ny | bare-metal gpu nvme
linode-nanode-1gb | Nanode 1GB | 1 | 1 | 25 | 1 | 0.0075 | 5 |  | us-east us-west eu-west eu-central ap-south | ssd cloud
linode-2gb | Linode 2GB | 1 | 2 | 50 | 2 | 0.015 | 10 |  | us-east us-west us-central eu-west eu-central ap-south ap-northeast | ssd cloud
linode-4gb | Linode 4GB | 2 | 4 | 80 | 4 | 0.030 | 20 |  | us-east us-west us-central eu-west eu-central ap-south ap-northeast ap-southeast | ssd cloud
linode-dedicated-4gb | Dedicated 4GB | 2 | 4 | 80 | 4 | 0.045 | 30 |  | us-east us-west eu-west ap-south | ssd cloud dedicated-cpu
linode-dedicated-8gb | Dedicated 8GB | 4 | 8 | 160 | 5 | 0.090 | 60 |  | us-east us-west us-central eu-west eu-central ap-south | ssd cloud dedicated-cpu high-memory
linode-gpu-rtx6000 | GPU RTX6000 | 24 | 64 | 640 | 10 | 1.50 | 1000 | NVIDIA RTX 6000 | us-east eu-west | ssd cloud gpu dedicated-cpu
scaleway-dev1-s | DEV1-S | 2 | 2 | 20 | 0.2 | 0.0045 | 3 |  | par1 ams1 waw1 | ssd cloud x86
scaleway-dev1-m | DEV1-M | 3 | 4 | 40 | 0.5 | 0.0090 | 6 |  | par1 ams1 waw1 | ssd cloud x86
scaleway-gp1-xs | GP1-XS | 4 | 16 | 150 | 1 | 0.11 | 73 |  | par1 ams1 waw1 | ssd cloud x86 high-memory
scaleway-gp1-s | GP1-S | 8 | 32 | 300 | 2 | 0.22 | 147 |  | par1 ams1 waw1 | ssd cloud x86 high-memory
scaleway-render-s | RENDER-S | 10 | 45 | 200 | 2 | 0.44 | 294 | NVIDIA T4 | par1 ams1 | nvme cloud gpu x86
scaleway-h100-1-80g | H100-1-80G | 26 | 200 | 400 | 5 | 3.30 | 2200 | NVIDIA H100 80GB | par1 | ssd cloud gpu x86 high-memory
"""

REGIONS = {
    "hivelocity": "atlanta tampa los-angeles new-york miami",
    "digitalocean": "nyc1 nyc3 sfo3 lon1 fra1 sgp1 tor1 ams3",
    "vultr": "ewr ord dfw sea lax ams fra sgp syd",
    "aws": "us-east-1 us-west-2 eu-west-1 ap-southeast-1 ap-northeast-1",
    "equinix": "da sv ny am sg ty fr",
    "linode": "us-east us-west us-central us-southeast eu-west eu-central ap-south ap-northeast ap-southeast ca-central au-sydney",
    "scaleway": "par1 par2 ams1 ams2 waw1",
}

# How the ids of each provider's templates begin.
_PROVIDERS = {
    "hive": "hivelocity",
    "do": "digitalocean",
    "vultr": "vultr",
    "aws": "aws",
    "equinix": "equinix",
    "linode": "linode",
    "scaleway": "scaleway",
}


def _template(row: str) -> Dict[str, Any]:
    id, name, cpu, memory, storage, bandwidth, hour, month, gpu, regions, features = (
        part.strip() for part in row.split("|")
    )
    return {
        "id": id,
        "name": name,
        "provider": _PROVIDERS[id.split("-")[0]],
        "cpu": int(cpu),
        "memory_gb": int(memory),
        "storage_gb": int(storage),
        "bandwidth_tb": float(bandwidth),
        "price_hourly": float(hour),
        "price_monthly": float(month),
        "gpu": gpu or None,
        "regions": regions.split(),
        "features": features.split(),
    }


TEMPLATES: List[Dict[str, Any]] = [_template(row) for row in ROWS.strip().splitlines()]
